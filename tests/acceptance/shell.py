"""The installed command as a user's shell runs it: whole, in the background, or on a terminal."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tests.acceptance.terminal import Terminal
from tests.support.wait import wait_until

LAUNCH = str(Path(sys.executable).with_name("launch"))
SECONDS = 60.0


def no_traceback(text: str) -> None:
    """What no user may ever see: the one place where that is asserted."""
    assert "Traceback (most recent call last)" not in text, text
    assert "internal error" not in text, text


@dataclass(frozen=True)
class Ended:
    """A command that has ended: its exit status and what it wrote."""

    code: int
    out: bytes
    err: str

    def __post_init__(self) -> None:
        no_traceback(self.err)
        no_traceback(self.out.decode(errors="replace"))

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def json(self) -> Any:
        """The one JSON document that is all of stdout."""
        return json.loads(self.out)

    def ok(self) -> Ended:
        """This, if it succeeded."""
        assert self.code == 0, self
        return self


class Running:
    """A command in the background, its output in files that can be looked at meanwhile."""

    def __init__(
        self,
        command: list[str],
        environment: Mapping[str, str],
        directory: Path,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
    ) -> None:
        self._directory = Path(tempfile.mkdtemp(dir=directory))
        self._out, self._err = self._directory / "out", self._directory / "err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                # The suite may run in a shell's background, where Ctrl-C is ignored.
                ["env", "--default-signal=INT", *command],
                stdin=stdin,
                stdout=out,
                stderr=err,
                env=environment,
            )

    @property
    def out(self) -> bytes:
        return self._out.read_bytes()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def says(self, text: str) -> None:
        """Wait until stderr has the text."""
        what = f"stderr has {text!r}"
        wait_until(lambda: text in self.err or self.process.poll() is not None, 30, what)
        assert text in self.err, (self.err, self.process.poll())

    def prints(self, data: bytes) -> None:
        """Wait until stdout has the bytes."""
        wait_until(lambda: data in self.out, 30, f"stdout has {data!r}; stderr: {self.err}")

    def end(self) -> Ended:
        """Wait for its end."""
        return Ended(self.process.wait(SECONDS), self.out, self.err)


class Shell:
    """Runs ``launch`` with one environment; ``before`` are words that make it another user's."""

    def __init__(
        self, environment: Mapping[str, str], directory: Path, before: Sequence[str] = ()
    ) -> None:
        self.environment = dict(environment)
        self._launch = [*before, LAUNCH]
        self.directory = directory
        self._started: list[Running] = []
        self._terminals: list[Terminal] = []

    def __call__(
        self, *words: str, stdin: bytes = b"", env: Mapping[str, str] | None = None, **options: Any
    ) -> Ended:
        """Run the command to its end, through pipes."""
        done = subprocess.run(
            [*self._launch, *words],
            input=stdin,
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=subprocess.PIPE,
            env=self.environment | dict(env or {}),
            cwd=options.pop("cwd", self.directory),
            timeout=options.pop("timeout", SECONDS),
            check=False,
        )
        return Ended(done.returncode, done.stdout or b"", done.stderr.decode())

    def start(self, *words: str, stdin: int | IO[bytes] = subprocess.DEVNULL) -> Running:
        """Run it in the background."""
        running = Running([*self._launch, *words], self.environment, self.directory, stdin)
        self._started.append(running)
        return running

    def open_terminal(self, *words: str, columns: int = 100, kind: str = "xterm") -> Terminal:
        """Run it on a terminal of its own, of this kind (TERM)."""
        command = [*self._launch, *words]
        terminal = Terminal(command, self.environment, columns=columns, kind=kind)
        self._terminals.append(terminal)
        return terminal

    def on_terminal(self, *words: str, columns: int = 100) -> tuple[int, str]:
        """Run it to its end on a terminal; returns its exit status and all that was shown."""
        code, text = self.open_terminal(*words, columns=columns).end()
        no_traceback(text)
        return code, text

    def close(self) -> None:
        """End what a failed test left running."""
        for running in self._started:
            if running.process.poll() is None:
                running.process.kill()
                running.process.wait()
        for terminal in self._terminals:
            terminal.close()
