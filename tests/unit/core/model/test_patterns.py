"""Patterns of names: what they match, and that none takes long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.core.model.patterns import MOST_CHARACTERS, compiled
from launcher.errors import UserError
from tests.support.plain_work import cost


def slowly(pattern: str, name: str) -> bool:
    """Match as the words say it, in exponential time."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return slowly(pattern[1:], name) or (bool(name) and slowly(pattern, name[1:]))
    return bool(name) and pattern[0] in ("?", name[0]) and slowly(pattern[1:], name[1:])


@given(st.text("ab*?[.\n", max_size=8), st.text("ab[.\n", max_size=8))
def test_a_star_is_any_text_a_question_mark_one_character_and_all_else_itself(
    pattern: str, name: str
) -> None:
    assert compiled(pattern)(name) == slowly(pattern, name)


@pytest.mark.parametrize("pattern", ["*a" * 64, "a*" * 64, "*?" * 64, "?" * 127 + "*", "[" * 128])
def test_no_pattern_takes_long_on_any_name(pattern: str) -> None:
    matches = compiled(pattern)
    names = ("a" * 127 + "b", "a" * 128, "ab" * 64)
    assert cost(lambda: [*map(matches, names)]) < 100, "one that tries all ways takes years"


def test_a_long_pattern_is_refused() -> None:
    compiled("*" * MOST_CHARACTERS)
    with pytest.raises(UserError, match="129 characters, 128 are the most"):
        compiled("*" * 129)
