"""What a container does, as data: busybox runs it for real, the fake Docker reads the comment."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

MARK = "# program: "


@dataclass(frozen=True)
class Program:
    """A job that writes ``lines`` lines evenly over its ``seconds`` and then ends.

    ``stubborn`` ignores TERM, ``kind`` ends by it with ``exit``. ``missing`` is a command that is
    not there. ``lingers``: so many seconds after its end a process of it is still on the GPU.
    """

    seconds: float = 1.0
    exit: int = 0
    lines: int = 0
    stubborn: bool = False
    kind: bool = False
    missing: bool = False
    oom: bool = False
    lingers: float = 0.0

    def command(self) -> tuple[str, ...]:
        """Return a command that does this, for a real container and for the fake one."""
        if self.missing:
            return ("/no/such/program", MARK + json.dumps(asdict(self)))
        trap = "trap '' TERM; " if self.stubborn else ""
        trap += f"trap 'exit {self.exit}' TERM; " if self.kind else ""
        pause = self.seconds / max(1, self.lines)
        # A shell handles a trap only when the foreground command is over: naps are short.
        nap = f"n=$(({round(pause * 50)})); while [ $n -gt 0 ]; do sleep 0.02; n=$((n-1)); done"
        loop = f"i=0; while [ $i -lt {max(1, self.lines)} ]; do "
        loop += "echo line $i; " if self.lines else ""
        script = f"{trap}{loop}{nap}; i=$((i+1)); done; exit {self.exit}"
        return ("sh", "-c", f"{script} {MARK}{json.dumps(asdict(self))}")


def of_command(command: list[str]) -> Program:
    """Return the program of such a command; one that does nothing for any other."""
    _, found, text = (command[-1] if command else "").partition(MARK)
    return Program(**json.loads(text)) if found else Program()
