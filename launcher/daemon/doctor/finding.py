"""The finding of one check: a line of the report, and the harmless command that repairs it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Literal

from launcher import wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """``repair`` may be run by ``doctor --fix``: it is harmless and repeatable."""

    check: str
    state: Literal["ok", "warning", "problem"]
    message: str
    fix: str | None = None
    repair: tuple[str, ...] | None = None

    @property
    def line(self) -> wire.Check:
        """The finding in the API's form; a repair is shown as the command to run by hand."""
        fix = self.fix
        if fix is None and self.repair is not None:
            fix = f"Run `{shlex.join(self.repair)}`, or let `launch doctor --fix` do it."
        return wire.Check(check=self.check, state=self.state, message=self.message, fix=fix)


def ok(check: str, message: str) -> Finding:
    """Return a finding that all is well, or that an unknown fact is harmless."""
    return Finding(check=check, state="ok", message=message)


def warning(
    check: str, message: str, fix: str | None = None, repair: tuple[str, ...] | None = None
) -> Finding:
    """Return a finding that jobs run, but something needs attention."""
    return Finding(check=check, state="warning", message=message, fix=fix, repair=repair)


def problem(check: str, message: str, fix: str | None = None) -> Finding:
    """Return a finding that jobs cannot run, or can attack the machine."""
    return Finding(check=check, state="problem", message=message, fix=fix)
