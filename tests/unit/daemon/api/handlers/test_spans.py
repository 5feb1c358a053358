"""Ranges of job ids, however they overlap, are read once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from launcher.daemon.api.handlers.context import merged

SPANS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=12)


@given(SPANS)
def test_they_have_the_same_numbers_and_none_twice(spans: list[tuple[int, int]]) -> None:
    found = merged(spans)
    numbers = [n for first, last in found for n in range(first, last + 1)]
    assert numbers == sorted({n for first, last in spans for n in range(first, last + 1)})


def test_many_that_are_nearly_alike_become_one() -> None:
    assert merged((n, 99_999) for n in range(1000)) == [(0, 99_999)]
