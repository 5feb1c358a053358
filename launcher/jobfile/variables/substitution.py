"""``${VAR}`` as Compose substitutes it, with its defaults, alternatives and required variables.

``$VAR``, ``${VAR}``, ``${VAR:-default}``, ``${VAR-default}``, ``${VAR:?error}``, ``${VAR?error}``,
``${VAR:+other}``, ``${VAR+other}``; ``$$`` is a ``$``. What stands after the operator is
substituted itself, and only where it is used. A ``:`` treats an empty variable as an unset one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

MAX_DEPTH = 20
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_DOLLAR = re.compile(rf"\$(?:(?P<escape>\$)|(?P<name>{_NAME})|(?P<brace>\{{))", re.ASCII)
_WHOLE = re.compile(rf"\$(?:({_NAME})|\{{({_NAME})\}})", re.ASCII)
"""What most texts with a variable are: nothing else."""
_BRACED = re.compile(rf"\{{(?P<name>{_NAME})(?:(?P<end>\}})|(?P<operator>:?[-?+]))", re.ASCII)
_BRACE = re.compile(r"[{}]")

Lookup = Callable[[str], str | None]


@dataclass
class TextBudget:
    """How many characters all substitutions of one file may still make."""

    left: int = 1 << 20

    def charge(self, length: int) -> None:
        """Take away what is made; raise ``ValueError`` before it is, when nothing is left."""
        self.left -= length
        if self.left < 0:
            raise ValueError("the variables make the text too long: over 1 MiB in one file")


@dataclass
class Variables:
    """Where the values of variables come from, and which were asked for and are not set."""

    lookup: Lookup
    budget: TextBudget = field(default_factory=TextBudget)
    unset: dict[str, None] = field(default_factory=dict)
    """The names that became nothing, in their order."""

    def substitute(self, text: str) -> str:
        """Return the text with the values of its variables.

        >>> Variables({"A": "1"}.get).substitute("$A ${B:-${A}2} $$A")
        '1 12 $A'
        """
        if "$" not in text:
            return text
        whole = _WHOLE.fullmatch(text)
        if whole is not None:
            return self._charged(self._value(whole[1] or whole[2]))
        if "{" not in text:
            self.budget.charge(len(text))
            return _DOLLAR.sub(self._plain, text)
        return "".join(self._pieces(text, 0, len(text), _closing_braces(text), 1))

    def _plain(self, match: re.Match[str]) -> str:
        return self._charged(self._value(match["name"])) if match["name"] else "$"

    def _pieces(
        self, text: str, start: int, end: int, closing: dict[int, int], depth: int
    ) -> Iterator[str]:
        if depth > MAX_DEPTH:
            raise ValueError(f"variables are nested more than {MAX_DEPTH} levels deep")
        while (match := _DOLLAR.search(text, start, end)) is not None:
            yield self._charged(text[start : match.start()])
            start = match.end()
            if match["escape"]:
                yield self._charged("$")
            elif match["name"]:
                yield self._charged(self._value(match["name"]))
            else:
                opening = match.start("brace")
                last = closing.get(opening, end)
                if last >= end:
                    raise ValueError(f"'{text[match.start() :][:40]}' is not closed: add a }}")
                yield from self._braced(text, opening, last, closing, depth)
                start = last + 1
        yield self._charged(text[start:end])

    def _braced(
        self, text: str, start: int, last: int, closing: dict[int, int], depth: int
    ) -> Iterator[str]:
        match = _BRACED.match(text, start)
        if match is None:
            written = text[start - 1 : last + 1]
            raise ValueError(
                f"'{written[:40]}' is not a valid variable: write ${{NAME}} or"
                " ${NAME:-default}, and $$ for a $ of the program's own"
            )
        name, operator = match["name"], match["operator"]
        if operator is None:
            yield self._charged(self._value(name))
            return
        value = self.lookup(name)
        given = value is not None and (value != "" or operator[0] != ":")
        rest = self._pieces(text, match.end(), last, closing, depth + 1)
        if operator[-1] == "?" and not given:
            reason = "".join(rest)[:200]
            raise ValueError(f"the variable {name} has no value{': ' if reason else ''}{reason}")
        if given is (operator[-1] == "+"):
            yield from rest
        else:
            yield self._charged(value or "")

    def _value(self, name: str) -> str:
        value = self.lookup(name)
        if value is None:
            self.unset[name] = None
        return value or ""

    def _charged(self, piece: str) -> str:
        self.budget.charge(len(piece))
        return piece


def _closing_braces(text: str) -> dict[int, int]:
    """Return where each opening brace is closed, by where it stands."""
    opened: list[int] = []
    closing: dict[int, int] = {}
    for match in _BRACE.finditer(text):
        if match.group() == "{":
            opened.append(match.start())
        elif opened:
            closing[opened.pop()] = match.start()
    return closing
