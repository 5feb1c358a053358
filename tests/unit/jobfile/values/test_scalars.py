"""From a node to a plain value of one type, or the error that points at it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from launcher.errors import JobFileError
from launcher.jobfile.values.nodes import Node, Scalar, read_node
from launcher.jobfile.values.scalars import boolean, entries, items, parsed, string, unknown


def node(text: str) -> Node:
    return read_node(text, "f.yaml")


@pytest.mark.parametrize(
    ("text", "result"),
    [("a b", "a b"), ("010", "010"), ("1.50", "1.50"), ("'null'", "null"), ("true", "true")],
)
def test_text_is_what_stands_in_the_file(text: str, result: str) -> None:
    assert string(node(text), "it") == result


def test_true_and_false_are_words_and_not_text() -> None:
    assert (boolean(node("true"), "it"), boolean(node("False"), "it")) == (True, False)


@pytest.mark.parametrize(
    ("read", "text", "words"),
    [
        (string, "null", "it must be text, not "),
        (string, "[a]", "it must be text, not a list"),
        (string, "{a: b}", "it must be text, not a mapping"),
        (boolean, "'true'", "it must be true or false, not "),
        (boolean, "1", "it must be true or false, not "),
        (items, "a", "it must be a list, not "),
        (entries, "[a]", "it must be a mapping (`key: value`), not a list"),
    ],
)
def test_another_type_is_refused_by_its_name(
    read: Callable[[Node, str], object], text: str, words: str
) -> None:
    with pytest.raises(JobFileError) as refused:
        read(node(text), "it")
    assert refused.value.message.startswith(f"f.yaml:1:1: {words}")


def test_what_a_text_cannot_be_parsed_as_is_told_where_it_stands() -> None:
    (_, value) = entries(node("\na:  x"), "it")[0]
    with pytest.raises(JobFileError) as refused:
        parsed(value, "`a`", int)
    assert (refused.value.line, refused.value.column) == (2, 5)
    assert refused.value.message.startswith("f.yaml:2:5: `a`: ")
    assert parsed(node("7"), "it", int) == 7


def test_keys_for_the_reader_of_the_file_are_passed_over() -> None:
    found = entries(node("{x-a: 1, b: 2, x: 3}"), "it")
    assert [key.text for key, _ in found] == ["b", "x"]


def test_an_unknown_key_is_told_with_the_nearest_or_else_with_all() -> None:
    def key(text: str) -> Scalar:
        return entries(node(f"{{{text}: 1}}"), "it")[0][0]

    near = unknown(key("imagee"), ["image", "name"], "a job")
    assert near.message.endswith("`imagee` is not a key of a job (did you mean `image`?)")
    assert near.fix is None
    far = unknown(key("zzz"), ["name", "image"], "a job")
    assert far.fix == "Known here: image, name."
    assert len(unknown(key("z" * 500), ["image"], "a job").message) < 200
