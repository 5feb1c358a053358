"""Plain fields of a job: text that goes to its container unchanged.

One row here is the key of the job file with its JSON Schema, the flag of ``launch run``, the check
that client and daemon both make, and a line of ``launch show``. The value is an attribute of the
same name of ``JobSpec``. ``engine.spec`` puts it into the create body, and ``engine.validate``
judges it a second time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class PlainField:
    """One field.

    ``pattern`` matches all of a valid value, ``hint`` says how to write one. ``default`` says what
    happens without it.
    """

    name: str
    metavar: str
    help: str
    pattern: str
    hint: str
    example: str
    default: str

    @property
    def flag(self) -> str:
        """The option of ``launch run``."""
        return f"--{self.name.replace('_', '-')}"

    def matches(self, text: str) -> bool:
        """Return whether a text is a valid value."""
        return re.fullmatch(self.pattern, text) is not None

    def check(self, text: str) -> str:
        """Return a valid value; raises ``ValueError`` for another."""
        if not self.matches(text):
            raise ValueError(f"'{text[:80]}' is not a valid {self.name}: {self.hint}")
        return text


PLAIN_FIELDS = (
    PlainField(
        "hostname",
        "NAME",
        "The container's host name (its id).",
        "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?",  # a label: RFC 1123, section 2.1
        "use up to 63 letters, digits and '-', none of them at an end",
        example="worker-1",
        default="the container's id",
    ),
)
