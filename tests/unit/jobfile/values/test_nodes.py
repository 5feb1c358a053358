from __future__ import annotations

from itertools import pairwise

import pytest

from launcher.errors import JobFileError
from launcher.jobfile.values.nodes import Items, Mapping, Node, Scalar, read_node, scalar_value
from tests.support.plain_work import cost


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", "010"), ("12:30", "12:30"), ("12:30:45", "12:30:45"), ("on", "on"), ("yes", "yes"),
        ("No", "No"), ("2026-01-01", "2026-01-01"), ("1_000", "1_000"), ("0b11", "0b11"),
        ("true", True), ("FALSE", False), ("null", None), ("~", None), ("", None),
        ("1", 1), ("-3", -3), ("0", 0), ("0x1f", 31), ("0o17", 15), ("1.10", 1.1), ("1e3", 1000.0),
        (".5", 0.5), ("+7", 7), ("9" * 19, 9999999999999999999.0), ("9" * 5000, "9" * 5000),
        ("=", "="), ("1.2.3", "1.2.3"), ("-", "-"), (".", "."),
    ],
)  # fmt: skip
def test_plain_scalars_mean_what_yaml_1_2_says(text: str, value: object) -> None:
    assert scalar_value(text) == value
    assert type(scalar_value(text)) is type(value)


def test_quoted_scalars_are_text_and_keep_it() -> None:
    node = read_node("a: '010'\nb: 1.10\n", "f")
    assert isinstance(node, Mapping)
    values = [value for _, value in node.entries if isinstance(value, Scalar)]
    assert [(each.value, each.text) for each in values] == [("010", "010"), (1.1, "1.10")]
    assert (values[1].line, values[1].column) == (2, 4)


NASTY = {
    "an alias without an anchor": ("a: 1\nb: *x", 2, "the alias *x has no anchor before it"),
    "recursion": ("&x [*x]", 1, "the alias *x stands inside what it names"),
    "recursion in a mapping": ("a: &x\n  b: {<<: *x}", 2, "stands inside"),
    "billion laughs": (
        "a: &a [x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{n}: &{n} [{','.join(['*' + m] * 9)}]\n" for m, n in pairwise("abcdefghi")),
        5,
        "20000 values",
    ),
    "a long text again and again": (
        f"a: &a {'x' * 100_000}\nb: [*a,\n*a,\n*a]",
        3,
        "with what its aliases repeat the file is over 256 KiB",
    ),
    "aliases that nest": (
        "a: &a [[[[[[x]]]]]]\nb: &b [[[[[*a]]]]]\nc: &c [[[*b]]]\nd: [[[[[*c]]]]]",
        4,
        "20 levels",
    ),
    "a merge of text": ("a:\n  <<: text", 2, "a merge key (<<) takes mappings, not text"),
    "a merge of nothing": ("a:\n  <<:", 2, "takes mappings, not empty"),
    "a merge of a list in a list": ("a:\n  <<: [[{b: 1}]]", 2, "takes mappings, not a list"),
    "two merge keys": ("a:\n  <<: {b: 1}\n  <<: {c: 1}", 3, "the key `<<` is there twice"),
    "a tag": ("a: !!python/object/apply:os.system [ls]", 1, "tags"),
    "a local tag": ("a: !x 1", 1, "tags"),
    "a duplicate key": ("a: 1\nb: 2\na: 3", 3, "twice (first in line 1)"),
    "a duplicate key, quoted": ("a: 1\n'a': 3", 2, "twice"),
    "a second document": ("a: 1\n---\nb: 2", 2, "second document"),
    "a key that is a list": ("? [a]\n: b", 1, "one word"),
    "deep nesting in flow": ("[" * 3000, 1, "20 levels"),
    "deep nesting in blocks": ("- " * 3000, 1, "20 levels"),
    "a tab": ("a:\n\tb: 1", 2, "not valid YAML"),
    "an open quote": ("a: 'x", 1, "not valid YAML"),
    "an open bracket": ("a: [1", 2, "not valid YAML"),
    "a NUL": ("a: \0", 1, "U+0000"),
    "a bell": ("a: 1\nb: \x07", 2, "U+0007"),
    "an escaped NUL": ('a: "\\0"', 1, "no program can be given"),
    "a lone surrogate": ("a: \ud800", 1, "U+D800"),
    "an escaped surrogate": ('a: "\\ud800"', 1, "not"),
    "a colon too many": ("a: b: c", 1, "not valid YAML"),
    "a directive": ("%YAML 9.9\n---\na: 1", 1, "not valid YAML"),
    "many values": (
        "[" + "a," * 160_000 + "]",
        1,
        "20000 values",
    ),
}


@pytest.mark.parametrize("name", NASTY)
def test_nasty_yaml_is_refused_where_it_stands(name: str) -> None:
    text, line, said = NASTY[name]

    def refusal() -> JobFileError:
        with pytest.raises(JobFileError) as caught:
            read_node(text, "f.yaml")
        return caught.value

    assert cost(refusal) < 100
    error = refusal()
    assert said in error.message
    assert abs(error.line - line) <= (1 if "valid YAML" in said else 0)
    assert error.message.startswith(f"f.yaml:{error.line}:{error.column}: ")


def test_what_to_do_with_too_many_values_is_said() -> None:
    with pytest.raises(JobFileError) as caught:
        read_node(NASTY["many values"][0], "f.yaml")
    assert "`array` or `matrix`, or write several files" in (caught.value.fix or "")


def texts(node: Node) -> object:
    """Return a tree as plain lists, dicts and texts."""
    if isinstance(node, Mapping):
        return {key.text: texts(value) for key, value in node.entries}
    if isinstance(node, Items):
        return [texts(item) for item in node.items]
    assert isinstance(node, Scalar)
    return node.text


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("a: &x 1\nb: *x", {"a": "1", "b": "1"}),
        ("a: &x [1]\nb: &y [*x, *x]\nc: *y", {"a": ["1"], "b": [["1"]] * 2, "c": [["1"]] * 2}),
        ("a: &x 1\nb: &x 2\nc: *x", {"a": "1", "b": "2", "c": "2"}),
        ("&x a: 1\nb: *x", {"a": "1", "b": "a"}),
        ("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}", {"a": {"p": "1", "q": "2"},
                                                   "b": {"p": "1", "q": "3"}}),
        ("a: {q: 3, <<: {p: 1, q: 2}}", {"a": {"p": "1", "q": "3"}}),
        ("a: {<<: [{p: 1}, {p: 2, q: 2}]}", {"a": {"p": "1", "q": "2"}}),
        ("a: {'<<': 1}", {"a": {"<<": "1"}}),
    ],
)  # fmt: skip
def test_aliases_and_merge_keys_stand_for_what_they_name(text: str, result: object) -> None:
    assert texts(read_node(text, "f.yaml")) == result


def test_what_an_alias_stands_for_keeps_its_place() -> None:
    node = read_node("a: &x\n  p: 1\nb:\n  <<: *x", "f.yaml")
    assert isinstance(node, Mapping)
    merged = node.entries[1][1]
    assert isinstance(merged, Mapping)
    assert [(key.line, value.column) for key, value in merged.entries] == [(2, 6)]
