"""The values of a map: each element's command has them exactly, whatever they look like."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import pytest

from launcher.client.handles.specs import map_spec, map_values
from launcher.daemon.requests.array_elements import expand
from launcher.errors import UserError
from launcher.wire import ArrayRequest, GpuRequest, JobSpec, Mount

NASTY = [
    "", " ", "a b", "'", '"', "\\", "\n", "\r\n\t", "${value}", "$${value}", "$$$", "${", "}",
    "{}", "{{}}", "{value}", "{{x}}", "${HOME}", "$HOME", "$(id)", "`id`", "%s", "é", "日本語",
    "🎉", "-rf", "--", "*", "~", "a" * 5000, "\x01", "\u2028",
]  # fmt: skip


def commands(command: Any, values: Sequence[Any], **fields: Any) -> list[tuple[str, ...]]:
    """The commands of the elements, as the daemon makes them."""
    spec = map_spec("busybox", command, values, None, None, fields)  # type: ignore[arg-type]
    return [tuple(element.command or ()) for element in expand(spec)]


def test_each_value_is_in_its_place_of_the_command() -> None:
    assert commands(["train", "--lr={}", "{}"], [0.1, 1, "x"]) == [
        ("train", "--lr=0.1", "0.1"),
        ("train", "--lr=1", "1"),
        ("train", "--lr=x", "x"),
    ]


def test_numbers_of_other_libraries_are_numbers() -> None:
    assert commands("echo {}", [Fraction(1, 2), True]) == [("echo", "1/2"), ("echo", "True")]


def test_a_dict_gives_a_value_for_each_of_its_keys() -> None:
    values = [{"lr": 0.1, "seed": 1}, {"lr": 1e-05, "seed": 2}]
    assert commands("train --lr {lr} --name '{seed} of {lr}'", values) == [
        ("train", "--lr", "0.1", "--name", "1 of 0.1"),
        ("train", "--lr", "1e-05", "--name", "2 of 1e-05"),
    ]


def test_a_function_returns_the_words_of_each_command() -> None:
    assert commands(lambda value: ["echo", value[0], "${word_1}"], [("a",), ("b",)]) == [
        ("echo", "a", "${word_1}"),
        ("echo", "b", "${word_1}"),
    ]
    assert commands(lambda value: ["same ${word_0}"], [1, 2]) == [("same ${word_0}",)] * 2


@pytest.mark.parametrize(
    "command",
    [["echo", "<{}>"], lambda value: ["echo", f"<{value}>"]],
    ids=["a template", "a function"],
)
def test_values_are_never_interpreted(command: Any) -> None:
    assert commands(command, NASTY) == [("echo", f"<{value}>") for value in NASTY]


def test_values_of_several_keys_are_never_interpreted() -> None:
    values = [{"a": value, "b": "${a}{b}"} for value in NASTY]
    assert commands(["{a}", "{b}", "{b}{a}"], values) == [
        (value, "${a}{b}", "${a}{b}" + value) for value in NASTY
    ]


def test_what_is_no_placeholder_stays_as_it_is() -> None:
    words = ["{}", "${value} $${value} $${x} {x} {{y}} {0} ${HOME} {'a': 1}"]
    assert commands(words, ["v"]) == [("v", words[1])]
    words = ["{lr}", "{} ${other} {other}"]
    assert commands(words, [{"lr": 1}]) == [("1", words[1])]


def test_other_fields_of_the_job_get_no_values() -> None:
    text = "${value}"
    fields: dict[str, Any] = {
        "environment": {"A": text}, "working_dir": f"/{text}", "entrypoint": (text,),
        "volumes": (Mount(f"/{text}", f"/m{text}"),),
    }  # fmt: skip
    spec = map_spec("busybox", ["{}"], ["v"], None, None, fields)  # type: ignore[arg-type]
    (element,) = expand(spec)
    assert element == JobSpec(name="busybox", image="busybox", command=("v",), **fields)


def test_the_array_has_the_profile_the_limit_and_an_index_for_each_value() -> None:
    spec = map_spec("busybox", "echo {}", ["a", "b"], "1g.6gb", 1, {})
    assert spec.gpus == GpuRequest(kind="profile", profile="1g.6gb")
    assert spec.array is not None
    assert (spec.array.indices, spec.array.max_parallel) == ([0, 1], 1)


REFUSED: list[tuple[Any, list[Any], dict[str, Any], str]] = [
    ("echo", [1], {}, "no placeholder for its values: {}"),
    ("echo {}", [{"lr": 1}], {}, "no placeholder for its values: {lr}"),
    ("echo {}", [None], {}, "not NoneType"),
    ("echo {}", [b"x"], {}, "not bytes"),
    ("echo {a}", [{"a": [1]}], {}, "not list"),
    ("echo {a}", [{"a": 1}, {"b": 1}], {}, "the same keys"),
    ("echo {a}", [{"a": 1}, 2], {}, "the same keys"),
    ("echo {a-b}", [{"a-b": 1}], {}, "'a-b' is not a valid key"),
    ("echo {1}", [{1: 1}], {}, "1 is not a valid key"),
    ("echo {}", [{}], {}, "an empty dict"),
    (["sh", "-c", "echo ${}"], [1], {}, "could mean a variable of a shell"),
    (["sh", "-c", "echo ${lr}"], [{"lr": 1}], {}, "could mean a variable of a shell"),
    (["echo", "{}", 1], [1], {}, "the command must be a list of str"),
    (lambda value: "echo", [1], {}, "the function returns must be a list of str"),
    (lambda value: ["echo", value], [1], {}, "the function returns must be a list of str"),
    (lambda value: ["echo"] * value, [1, 3], {}, "commands of 1 and of 3 words"),
    ("echo '{}", [1], {}, "No closing quotation"),
    ("echo {}", [1], {"array": ArrayRequest(indices=[1])}, "omit `array`"),
]


@pytest.mark.parametrize(("command", "values", "fields", "message"), REFUSED)
def test_what_cannot_be_passed_exactly_is_refused(
    command: str | Callable[[Any], list[str]],
    values: list[Any],
    fields: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(UserError) as caught:
        map_spec("busybox", command, values, None, None, fields)  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_an_endless_iterator_is_refused_for_its_length() -> None:
    assert map_values(iter(range(3))) == [0, 1, 2]
    with pytest.raises(UserError, match="an array has 100000 elements at most"):
        map_values(itertools.count())
