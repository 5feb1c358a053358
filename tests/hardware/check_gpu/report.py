"""The report: one line for each check, then what nvidia-smi printed."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime

from launcher import __version__


@dataclass
class Report:
    """Lines (check, result, detail); a check that fails makes the whole fail."""

    lines: list[tuple[str, str, str]] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)

    def note(self, check: str, result: str, detail: object = "") -> None:
        """Add a line, and print it."""
        self.lines.append((check, result, str(detail)))
        sys.stdout.write(f"{result:8} {check}: {detail}\n")
        sys.stdout.flush()

    def compare(self, check: str, ours: object, theirs: object) -> None:
        """Add a line: ``same``, or ``DIFFERS`` with both values."""
        if ours == theirs:
            self.note(check, "same", ours)
        else:
            self.note(check, "DIFFERS", f"launcher {ours!r}, nvidia-smi {theirs!r}")

    @property
    def is_well(self) -> bool:
        """Whether no check failed or differs."""
        return all(result not in ("FAILED", "DIFFERS") for _, result, _ in self.lines)

    def markdown(self) -> str:
        """Return the whole report."""
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        head = f"# check-gpu\n\n{now}, launcher {__version__}, Linux {platform.release()}, "
        head += (
            f"Python {platform.python_version()}\n\n| check | result | detail |\n|---|---|---|\n"
        )
        rows = "".join(f"| {c} | {r} | {_cell(d)} |\n" for c, r, d in self.lines)
        return head + rows + "".join(f"\n## {t}\n\n```\n{b}\n```\n" for t, b in self.texts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")[:600]
