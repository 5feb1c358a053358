"""Finds the sections of the manual that mention a word."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

MOST_SECTIONS = 12
"""The maximum number of sections that a search returns."""
_LOOKED_UP = ("verbs", "speed")
"""Pages for reference, whose sections come last."""
_HEADING = re.compile(r"#{1,6} +(.*)")


class ManualSection(NamedTuple):
    """A section of a page: its heading, and its whole text as Markdown."""

    topic: str
    heading: str
    text: str


def sections_with(word: str, pages: Mapping[str, str]) -> list[ManualSection]:
    """Return the sections that mention a word, the best first: by heading, then by number.

    Case, hyphens and a plural do not matter.

    >>> page = "# Ports\\n\\nFor notebooks.\\n## Editors\\nVS Code.\\n"
    >>> [each.heading for each in sections_with("vscode", {"ports": page})]
    ['Editors']
    >>> sections_with("note", {"ports": page})
    []
    """
    singular = word[:-1] if len(word) > 3 and word.lower().endswith("s") else word
    letters = [re.escape(letter) for letter in singular if letter.isalnum()]
    if not letters:
        return []
    pattern = re.compile(rf"\b{'[ -]?'.join(letters)}s?\b", re.IGNORECASE)
    ranked = []
    for topic, page in pages.items():
        for section in _sections(topic, page):
            if count := len(pattern.findall(section.text)):
                in_heading = pattern.search(section.heading) is not None
                ranked.append((not in_heading, topic in _LOOKED_UP, -count, section))
    return [each[-1] for each in sorted(ranked, key=lambda each: each[:3])][:MOST_SECTIONS]


def _sections(topic: str, page: str) -> Iterator[ManualSection]:
    """Yield the parts of a page between headings; a comment of a script is not one."""
    heading, lines, in_block = "", list[str](), False
    for line in page.splitlines():
        in_block ^= line.startswith("```")
        match = None if in_block else _HEADING.match(line)
        if match is not None:
            if lines:
                yield ManualSection(topic, heading, "\n".join(lines).strip() + "\n")
            heading, lines = match[1], []
        lines.append(line)
    if lines:
        yield ManualSection(topic, heading, "\n".join(lines).strip() + "\n")
