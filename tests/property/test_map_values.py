"""A map passes any text exactly, beside any other text in the command."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from launcher.client.handles.specs import map_spec
from launcher.daemon.requests.array_elements import expand

SNIPPETS = [
    "$",
    "{",
    "}",
    "${value}",
    "$${a}",
    "{a}",
    "{b}",
    "{}",
    "${a",
    "a}",
    "word_0",
    "${word_1}",
]
texts = st.lists(st.sampled_from(SNIPPETS) | st.text(max_size=3), max_size=6).map("".join)


def made(command: object, values: list[object]) -> list[tuple[str, ...]]:
    spec = map_spec("busybox", command, values, None, None, {"environment": {"A": "${a}${value}"}})  # type: ignore[arg-type]
    elements = expand(spec)
    assert all(element.environment == {"A": "${a}${value}"} for element in elements)
    return [tuple(element.command or ()) for element in elements]


@given(st.lists(texts, min_size=1, max_size=3), st.lists(texts, min_size=1, max_size=4))
def test_one_value(words: list[str], values: list[str]) -> None:
    words = ["{}", *(word.replace("${}", "#{}") for word in words)]
    expected = [tuple(word.replace("{}", value) for word in words) for value in values]
    assert made(words, list(values)) == expected


@given(st.lists(texts, min_size=1, max_size=3), st.lists(st.tuples(texts, texts), min_size=1))
def test_several_keys(words: list[str], values: list[tuple[str, str]]) -> None:
    def rendered(word: str, a: str, b: str) -> str:
        return a.join(part.replace("{b}", b) for part in word.split("{a}"))

    words = ["{b}{a}", *(word.replace("${a}", "#").replace("${b}", "#") for word in words)]
    assume(not any("${a}" in word or "${b}" in word for word in words))
    assert made(words, [{"a": a, "b": b} for a, b in values]) == [
        tuple(rendered(word, a, b) for word in words) for a, b in values
    ]


@given(st.integers(1, 4).flatmap(
    lambda count: st.lists(st.lists(texts, min_size=count, max_size=count), min_size=1, max_size=4)
))  # fmt: skip
def test_a_function(commands: list[list[str]]) -> None:
    assert made(lambda place: commands[place], list(range(len(commands)))) == [
        tuple(words) for words in commands
    ]
