"""The combinations of a matrix: product, ``exclude``, ``include``, limits, and what is refused."""

from __future__ import annotations

import pytest

from launcher.errors import JobFileError
from launcher.jobfile.reading.matrix import MOST, combinations, read_matrix
from launcher.jobfile.values.nodes import read_node


def made(text: str) -> list[str]:
    """Return the combinations of a matrix in YAML's flow style, each as words."""
    read = read_matrix(read_node(text, "f.yaml"))
    return [" ".join(f"{key}={value}" for key, value in one.items()) for one in read]


def refused(text: str) -> str:
    with pytest.raises(JobFileError) as error:
        made(text)
    return error.value.message


def test_the_last_key_changes_fastest() -> None:
    assert made("{a: [1, 2], b: [x, y]}") == ["a=1 b=x", "a=1 b=y", "a=2 b=x", "a=2 b=y"]


def test_an_entry_of_exclude_takes_away_all_that_have_its_values() -> None:
    assert made("{a: [1, 2], b: [x, y], exclude: [{b: x}]}") == ["a=1 b=y", "a=2 b=y"]
    assert made("{a: [1, 2], b: [x, y], exclude: [{a: 1, b: x}, {a: 2}]}") == ["a=1 b=y"]


def test_an_entry_of_include_extends_what_it_fits_and_else_stands_for_itself() -> None:
    assert made("{a: [1, 2], include: [{a: 1, c: z}]}") == ["a=1 c=z", "a=2"]
    assert made("{a: [1, 2], include: [{a: 3, c: z}]}") == ["a=1", "a=2", "a=3 c=z"]
    assert made("{a: [1, 2], include: [{c: z}]}") == ["a=1 c=z", "a=2 c=z"]
    assert made("{include: [{a: 1}, {a: 1}]}") == ["a=1", "a=1"]


def test_an_entry_that_stands_for_itself_is_not_extended_by_later_ones() -> None:
    assert made("{a: [1], include: [{a: 2}, {a: 2, c: z}]}") == ["a=1", "a=2", "a=2 c=z"]


def test_what_was_excluded_does_not_come_back_with_its_own_keys_by_a_fit() -> None:
    text = "{a: [1, 2], exclude: [{a: 1}], include: [{a: 1, c: z}]}"
    assert made(text) == ["a=2", "a=1 c=z"]


def test_numbers_that_are_equal_match_and_the_text_stays() -> None:
    assert made("{a: [1.0, 2], exclude: [{a: 1}]}") == ["a=2"]
    assert made("{a: [1.0], include: [{a: 1, c: z}]}") == ["a=1.0 c=z"]
    assert made("{a: ['true', 1], exclude: [{a: 1}]}") == ["a=true"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}", "`matrix` is empty"),
        ("{a: []}", "the list of `a` is empty"),
        ("{a: 1}", "`a` must be a list"),
        ("{a: [[1]]}", "a value of `a` must be text"),
        ("{a-b: [1]}", "'a-b' is not a valid key"),
        ("{a: [1], exclude: [{b: 1}]}", "`b` is not a key of this matrix"),
        ("{a: [1], exclude: [{}]}", "an entry of `exclude` is empty"),
        ("{a: [1], include: [{}]}", "an entry of `include` is empty"),
        ("{a: [1], include: [{c-d: 1}]}", "'c-d' is not a valid key"),
        ("{a: [1], exclude: [{a: 1}]}", "`exclude` leaves no combination"),
    ],
)
def test_a_matrix_that_makes_no_sense_is_refused(text: str, words: str) -> None:
    assert words in refused(text)


def axis(name: str, count: int, text: str = "") -> str:
    return f"{name}: [{', '.join(f'{text}{n}' for n in range(count))}]"


def test_a_matrix_is_refused_by_its_size_before_it_is_made() -> None:
    large = ", ".join(axis(name, 100) for name in "abc")
    assert f"more than {MOST} combinations" in refused(f"{{{large}}}")
    long = f"{axis('a', 100, 'x' * 200)}, {axis('b', 200)}"
    assert "more than 4 MiB" in refused(f"{{{long}}}")


def test_rules_of_too_many_kinds_are_refused_before_they_are_applied() -> None:
    axes = ", ".join(axis(name, 11) for name in "abcd")
    kinds = ", ".join(f"{{{', '.join(f'{key}: 1' for key in keys)}}}"
                      for keys in ("a", "b", "c", "d", "ab", "ac", "ad", "bc", "bd", "cd", "abc",
                                   "abd", "acd", "bcd", "abcd"))  # fmt: skip
    assert "too many entries of too many kinds" in refused(f"{{{axes}, exclude: [{kinds}]}}")


def test_the_values_of_a_product_are_independent_of_each_other() -> None:
    """An entry that extends one combination leaves the others alone."""
    first, second = combinations({"a": ["1", "2"]}, [], [{"a": "1", "c": "z"}])
    assert (first, second) == ({"a": "1", "c": "z"}, {"a": "2"})
