"""The elements of arrays and matrices: what is replaced in them, and which arrays are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from launcher import interpolation
from launcher.daemon.requests import array_elements as expand_module
from launcher.daemon.requests.array_elements import Budget, Commands, expand
from launcher.errors import UserError
from launcher.store import Stored
from launcher.wire import ArrayRequest, JobSpec, Mount
from tests.support.plain_work import cost


def job(matrix: list[dict[str, str]] | None = None, **fields: Any) -> JobSpec:
    """A job with one element for each combination, or with three."""
    indices = list(range(len(matrix) if matrix else 3))
    array = ArrayRequest(indices=indices, matrix=matrix or [], max_parallel=2)
    return JobSpec(**{"name": "a", "image": "x", "array": array, **fields})


def rendered(text: str, **values: str) -> str:
    (element,) = expand(job([values], command=(text,)))
    assert element.command is not None
    return element.command[0]


def test_a_job_that_is_no_array_is_its_only_element() -> None:
    one = JobSpec(name="a", image="x", command=("${lr}",))
    assert expand(one) == [one]


def test_an_array_without_a_matrix_changes_nothing_in_its_elements() -> None:
    request = job(command=("${lr}", "$${lr}", "$HOME"), environment={"A": "${A}"})
    assert expand(request) == [replace(request, array=None)] * 3


def test_every_string_that_may_hold_a_key_is_replaced() -> None:
    request = job(
        [{"k": "1", "d": "/d"}, {"k": "2", "d": "/e"}],
        image="r/${k}:${k}",
        command=("a", "--k=${k}", "b"),
        entrypoint=("run-${k}", "x"),
        environment={"K": "${k}", "${k}": "name", "P": "plain"},
        working_dir="${d}/w",
        volumes=(
            Mount(source="/s/${k}", target="/t${d}", read_only=True),
            Mount(source="/a", target="/b"),
        ),
        user="${k}",
    )
    first, second = expand(request)
    assert first == replace(
        request,
        array=None,
        image="r/1:1",
        command=("a", "--k=1", "b"),
        entrypoint=("run-1", "x"),
        environment={"K": "1", "${k}": "name", "P": "plain"},
        working_dir="/d/w",
        volumes=(
            Mount(source="/s/1", target="/t/d", read_only=True),
            Mount(source="/a", target="/b"),
        ),
    )
    assert (second.image, second.working_dir) == ("r/2:2", "/e/w")
    assert request.command == ("a", "--k=${k}", "b")


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("${a}${b}", "12"),
        ("$${a}", "${a}"),
        ("$${a}${a}", "${a}1"),
        ("$$${a}", "$${a}"),
        ("$$$${a}", "$$${a}"),
        ("${c}", "${c}"),
        ("$${c}", "$${c}"),
        ("$a $$ ${} ${a ${ a} ${a:-x} $", "$a $$ ${} ${a ${ a} ${a:-x} $"),
        ("${c${a}}", "${c1}"),
        ("a\n${a}\u00e9", "a\n1\u00e9"),
    ],
)
def test_only_a_key_of_the_matrix_is_replaced(text: str, becomes: str) -> None:
    assert rendered(text, a="1", b="2") == becomes


def test_a_value_is_not_read_again() -> None:
    assert rendered("${a}", a="${b}", b="x") == "${b}"
    assert rendered("${a}", a=r"\1 $${a}") == r"\1 $${a}"


def test_a_key_that_a_combination_lacks_becomes_nothing() -> None:
    request = job([{"a": "1"}, {"a": "2", "extra": "x"}], command=("${a}-${extra}",))
    assert [element.command for element in expand(request)] == [("1-",), ("2-x",)]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no elements": ({"indices": []}, "it has 0 elements, 1 to 100000 can be"),
    "too many": ({"indices": list(range(100_001))}, "it has 100001 elements"),
    "a negative index": ({"indices": [1, -1]}, "-1 is not a valid index: 0 to 2147483647 can be"),
    "a large index": ({"indices": [2**31]}, "2147483648 is not a valid index"),
    "an index twice": ({"indices": [3, 1, 3]}, "the index 3 is there twice"),
    "no parallel": ({"indices": [0], "max_parallel": 0}, "max_parallel is 0"),
    "a short matrix": (
        {"indices": [0, 1], "matrix": [{"a": "1"}]},
        "the matrix has 1 combinations for 2 indices",
    ),
    "a key": ({"indices": [0], "matrix": [{"a}": "1"}]}, "'a}' is not a valid key of a matrix"),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_array_that_no_client_of_ours_would_send_is_refused(name: str) -> None:
    array, said = WRONG[name]
    with pytest.raises(UserError) as caught:
        expand(JobSpec(name="a", image="x", array=ArrayRequest(**array)))
    assert caught.value.message.startswith("array: ")
    assert said in caught.value.message


@pytest.mark.parametrize(
    "fields",
    [
        {"command": ("${a}" * 100_000,)},
        {"command": ("x",) * 1_000_000 + ("${a}",)},
        {"environment": {str(number): "x" for number in range(100_000)} | {"A": "${a}"}},
    ],
)
def test_a_small_request_cannot_fill_the_memory(fields: dict[str, Any]) -> None:
    matrix = [{"a": f"{number}" + "x" * 10_000} for number in range(100)]
    with pytest.raises(UserError, match=r"would take more than 64 MiB|131072 can be"):
        expand(job(matrix, **fields))


def test_what_does_not_change_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expand_module, "MAX_MADE_BYTES", 0)
    request = job([{"a": "1"}, {"a": "2"}], command=("x" * 1000,))
    first, second = expand(request)
    assert first is second


def test_requests_of_one_submit_share_what_their_elements_may_take() -> None:
    requests = [job([{"a": "x" * 10_000}] * 1000, command=("${a}",)) for _ in range(7)]
    budget = Budget()
    for request in requests[:6]:
        expand(request, budget)
    with pytest.raises(UserError, match="would take more than 64 MiB"):
        expand(requests[6], budget)


def test_the_commands_of_an_array_are_read_with_one_look_at_its_template(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[str] = []

    def template(text: str, keys: Any) -> Any:
        read.append(text)
        return interpolation.template(text, keys)

    monkeypatch.setattr(expand_module, "template", template)
    commands = Commands()
    stored = [Stored('["run","${a}"]', ("a",), {"a": str(number)}) for number in range(1000)]
    assert [commands.head(one, 100) for one in stored][999] == ["run", "999"]
    assert read == ["run", "${a}"]
    assert commands.head(Stored("null", ("a",), {}), 100) is None
    assert commands.head(Stored("[]", ("a",), {}), 100) == []


def test_ten_thousand_elements_take_no_time() -> None:
    matrix = [{"lr": str(number), "seed": "1"} for number in range(10_000)]
    request = job(
        matrix, command=("python", "--lr", "${lr}", "--seed=${seed}"), environment={"LR": "${lr}"}
    )
    assert expand(request)[9999].environment == {"LR": "9999"}
    assert cost(lambda: expand(request)) < 100
