"""``${key}`` in the strings of a job: what a matrix replaces, and what passes as it is.

Only ``${key}`` with a key of the job's own matrix is replaced, ``$${key}`` gives such a ``${key}``
as it is, and every other ``$`` is left alone. Client and daemon read it here, and so in one way.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_REFERENCE = re.compile(rf"\$(\$)?\{{({KEY.pattern})\}}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Template:
    """A string that a matrix changes: literal text, a key, literal text, a key, ..., literal."""

    parts: tuple[str, ...]

    def pieces(self, values: Mapping[str, str]) -> list[str]:
        """Return what the string is joined of; a key that these values lack becomes nothing."""
        result = list(self.parts)
        result[1::2] = [values.get(key, "") for key in self.parts[1::2]]
        return result

    def head(self, values: Mapping[str, str], most: int) -> str:
        """Return the string with these values; of a long one only more than ``most`` characters."""
        result: list[str] = []
        for number, part in enumerate(self.parts):
            result.append(values.get(part, "") if number % 2 else part)
            most -= len(result[-1])
            if most < 0:
                break
        return "".join(result)

    def render(self, values: Mapping[str, str]) -> str:
        """Return the string with these values.

        >>> template("--lr ${lr} $HOME $${lr}", ["lr"]).render({"lr": "0.10"})
        '--lr 0.10 $HOME ${lr}'
        """
        return "".join(self.pieces(values))


def template(text: str, keys: Collection[str]) -> Template | None:
    """Return the template of a string, None where a matrix with these keys changes nothing."""
    parts: list[str] = []
    literal, end = "", 0
    for item in _REFERENCE.finditer(text):
        escape, key = item.groups()
        if key not in keys:
            continue
        literal += text[end : item.start()]
        end = item.end()
        if escape:
            literal += f"${{{key}}}"
        else:
            parts += [literal, key]
            literal = ""
    return Template((*parts, literal + text[end:])) if end else None
