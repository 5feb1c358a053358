"""``launch ps`` with filters, an order and columns."""

from __future__ import annotations

import json

import pytest

from launcher.cli.output.columns import COLUMNS, DEFAULT
from tests.unit.cli.launch_command import Launch
from tests.unit.client.stub_daemon import Json, StubDaemon, ended, job_view

JOBS = [
    job_view(id=3, user="bob", priority=10, name=None),
    job_view(id=4, user="alice", priority=50, name="b"),
    ended("FAILED", 7, id=5, user="alice", priority=30, name="a"),
]
ELEMENT = {"id": 12, "index": 3, "matrix": {"lr": "0.1"}}


@pytest.mark.parametrize(
    ("args", "query"),
    [
        (["--state", "PENDING"], "all=0&state=pending"),
        (["--state", "failed,R"], "all=0&state=failed%2Cr"),
        (["--user", "me", "-a"], "all=1&user=me"),
        (["--name", "tr*", "10-20"], "all=0&name=tr%2A&ref=10-20"),
    ],
)
def test_its_filters_are_those_of_cancel(
    stub: StubDaemon, launch: Launch, args: list[str], query: str
) -> None:
    stub.on("GET", "/v1/jobs", Json(JOBS))
    result = launch("ps", *args)
    assert (result.code, result.err) == (0, "")
    assert [line.split()[0] for line in result.out.splitlines()] == ["ID", "3", "4", "5"]
    assert [asked.query for asked in stub.asked] == [query]


def test_a_filtered_list_has_arrays_in_one_line(stub: StubDaemon, launch: Launch) -> None:
    stub.on("GET", "/v1/jobs", Json([job_view(id=16, array=ELEMENT)]))
    assert launch("ps", "--state", "pending").out.splitlines()[1].startswith("12[3]  train  alice")


@pytest.mark.parametrize(
    ("order", "ids"),
    [
        ("id", [3, 4, 5]),
        ("-id", [5, 4, 3]),
        ("name", [5, 4, 3]),
        ("-name", [4, 5, 3]),
        ("user,-priority", [4, 5, 3]),
        ("exit", [5, 3, 4]),
    ],
)
def test_it_sorts_by_columns_and_puts_what_has_none_last(
    stub: StubDaemon, launch: Launch, order: str, ids: list[int]
) -> None:
    stub.on("GET", "/v1/jobs", Json(JOBS))
    for output in ("name", "json", "table"):
        out = launch("ps", "--sort", order, "-o", output).out
        if output == "json":
            assert [job["id"] for job in json.loads(out)] == ids
        else:
            lines = out.splitlines()[output == "table" :]
            assert [int(line.split()[0]) for line in lines] == ids


def test_it_shows_the_columns_that_are_named(stub: StubDaemon, launch: Launch) -> None:
    stub.on("GET", "/v1/jobs", Json([*JOBS, job_view(id=16, array=ELEMENT)]))
    out = launch("ps", "--columns", "state,ID,priority,matrix").out
    assert [line.split() for line in out.splitlines()] == [
        ["STATE", "ID", "PRIORITY", "MATRIX"],
        ["PENDING", "3", "10", "-"],
        ["PENDING", "4", "50", "-"],
        ["FAILED", "5", "30", "-"],
        ["PENDING", "12[3]", "50", "lr=0.1"],
    ]
    whole = json.loads(launch("ps", "--columns", "id", "-o", "json").out)
    assert {"id", "name", "state"} <= set(whole[0])
    assert launch("ps", "--columns", "state", "-o", "name").out.split() == ["3", "4", "5", "12[3]"]


@pytest.mark.parametrize("name", COLUMNS)
def test_every_column_is_shown_sorted_and_in_the_help(
    stub: StubDaemon, launch: Launch, name: str
) -> None:
    stub.on("GET", "/v1/jobs", Json([*JOBS, job_view(id=16, array=ELEMENT, time_limit=60.0)]))
    result = launch("ps", "--columns", name, "--sort", f"-{name},id")
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines()[0] == COLUMNS[name].heading
    assert name in launch("ps", "--help").out
    assert set(DEFAULT) <= set(COLUMNS)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--sort", "priorty"], "'priorty' is not a column (did you mean priority?): write id,"),
        (["--columns", "id,foo"], "'foo' is not a column: write id, name,"),
        (["--columns", ""], "'' is not a column"),
        (["--state", "done"], "'done' is not a state of a job: write pending,"),
    ],
)
def test_a_word_that_is_not_known_is_refused_with_those_there_are(
    stub: StubDaemon, launch: Launch, args: list[str], said: str
) -> None:
    result = launch("ps", *args)
    assert (result.code, result.out, stub.did()) == (2, "", [])
    assert said in result.err
