"""What one check found: a line of the report, and the harmless command that would mend it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Literal

from launcher import wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """``repair`` may be run by ``doctor --fix``: it disturbs nobody and can be run again."""

    check: str
    state: Literal["ok", "warning", "problem"]
    message: str
    fix: str | None = None
    repair: tuple[str, ...] | None = None

    @property
    def line(self) -> wire.Check:
        """What is told of it; a repair is also told as the command to run by hand."""
        fix = self.fix
        if fix is None and self.repair is not None:
            fix = f"Run `{shlex.join(self.repair)}`, or let `launch doctor --fix` do it."
        return wire.Check(check=self.check, state=self.state, message=self.message, fix=fix)


def ok(check: str, message: str) -> Finding:
    """Return that a thing is well, or that it cannot be known and need not be."""
    return Finding(check=check, state="ok", message=message)


def warning(
    check: str, message: str, fix: str | None = None, repair: tuple[str, ...] | None = None
) -> Finding:
    """Return that jobs run, but something is not as it should be."""
    return Finding(check=check, state="warning", message=message, fix=fix, repair=repair)


def problem(check: str, message: str, fix: str | None = None) -> Finding:
    """Return that jobs cannot run, or that the machine is open to them."""
    return Finding(check=check, state="problem", message=message, fix=fix)
