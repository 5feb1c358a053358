"""Arrays as ``ps`` and ``show`` tell of them: one line, one summary."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from launcher import wire
from launcher.cli.output import render, terminal
from launcher.wire import JobView
from tests.unit.cli.launch_command import Launch
from tests.unit.cli.queue_views import array_view
from tests.unit.client.stub_daemon import Json, StubDaemon, ended, head, job_view


def element(index: int, outcome: str | None = None, array: int = 12, **changes: Any) -> JobView:
    """Element ``index`` of an array; one with an outcome has ended."""
    place = {"id": array, "index": index, "matrix": {"lr": f"0.{index}"}}
    fields: dict[str, Any] = {"id": array + 1 + index, "name": "sweep", "array": place, **changes}
    return ended(outcome, **fields) if outcome else job_view(**fields)


ARRAY = [
    element(0, "COMPLETED", exit_code=0, attempt=1),
    element(1, "FAILED", exit_code=3, attempt=2),
    element(2, state="RUNNING", attempt=1),
    element(3, reason="Resources"),
    element(7, "CANCELLED"),
]


@pytest.fixture(autouse=True)
def page(stub: StubDaemon) -> None:
    answer_page(stub)


def answer_page(stub: StubDaemon, *not_sent: wire.NotifyFailureView) -> None:
    """Answer what the daemon says of the array beside its elements."""
    page = wire.ArrayPage(array=array_view(id=12), elements=[], more=False, not_sent=[*not_sent])
    stub.on("GET", "/v1/jobs/12/array", Json(page))


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "width", lambda: 80)


@pytest.mark.usefixtures("narrow")
def test_an_array_hides_nothing_of_other_rows_on_80_columns(
    stub: StubDaemon, launch: Launch
) -> None:
    arrays = [dataclasses.asdict(array_view())]
    waits = job_view(id=200, reason="Resources")
    stub.on("GET", "/v1/queue/head", Json({**head(waits).value, "arrays": arrays}))
    heading, array, job = launch("ps").out.splitlines()
    assert heading.endswith("REASON")
    assert job.endswith("Resources")
    assert array == ("12[0-99]  sweep  alice  40 pending, 4 running, 56 done (3 failed); Resources")


def test_a_short_row_s_last_cell_runs_on_over_the_columns(
    capsys: pytest.CaptureFixture[str],
) -> None:
    render.print_table(("A", "B", "C"), [(1, "a long text"), (2, "b", "c")])
    assert capsys.readouterr().out.splitlines() == ["A  B  C", "1  a long text", "2  b  c"]


def test_ps_of_everything_folds_arrays(stub: StubDaemon, launch: Launch) -> None:
    stub.on("GET", "/v1/jobs", Json([job_view(id=3), *ARRAY, ended("FAILED", 1, id=40)]))
    lines = launch("ps", "-a").out.splitlines()
    assert [line.split()[0] for line in lines] == ["ID", "3", "12[0-3,7]", "40"]
    assert lines[2].split(maxsplit=3)[3] == ("1 pending, 1 running, 3 done (1 failed); Resources")
    assert stub.asked[0].query == "all=1"


def test_an_ended_array_has_no_reason(stub: StubDaemon, launch: Launch) -> None:
    done = [element(index, "CANCELLED", reason="Dependency") for index in range(0, 40, 2)]
    stub.on("GET", "/v1/jobs", Json(done))
    assert launch("ps", "-a").out.splitlines()[1] == "12[0,2,4,6,…]  sweep  alice  20 done"


@pytest.mark.parametrize(
    ("args", "ids"),
    [
        (["-a", "12"], ["12[0]", "12[1]", "12[2]"]),
        (["-a", "-o", "name"], ["12[0]", "12[1]", "12[2]"]),
        (["12"], ["12[0]", "12[1]", "12[2]"]),
    ],
)
def test_what_is_named_and_what_programs_read_is_not_folded(
    stub: StubDaemon, launch: Launch, args: list[str], ids: list[str]
) -> None:
    stub.on("GET", "/v1/jobs", Json(ARRAY[:3]))
    out = launch("ps", *args).out
    assert [line.split("  ")[0] for line in out.splitlines() if "NAME" not in line] == ids
    stub.on("GET", "/v1/jobs", Json(ARRAY))
    assert [job["id"] for job in json.loads(launch("ps", "-a", "-o", "json").out)] == [
        13, 14, 15, 16, 20,
    ]  # fmt: skip


def test_show_of_an_array_is_a_summary(stub: StubDaemon, launch: Launch) -> None:
    stub.on("GET", "/v1/jobs", Json(ARRAY))
    result = launch("show", "12")
    assert (result.code, result.err) == (0, "")
    pairs, table = result.out.split("\n\n")
    shown = {name: value.strip() for name, value in (p.split(":", 1) for p in pairs.splitlines())}
    assert shown == {
        "id": "12[0-3,7]",
        "name": "sweep",
        "user": "alice",
        "jobs": "1 pending, 1 running, 3 done (1 failed)",
        "gpus": "1g.6gb",
        "image": "busybox",
        "command": "true",
        "priority": "50",
    }
    rows = [line.split() for line in table.splitlines()]
    assert rows == [
        ["ELEMENT", "STATE", "ATTEMPT", "EXIT", "REASON", "MATRIX"],
        ["12[1]", "FAILED", "2", "3", "-", "lr=0.1"],
        ["12[2]", "RUNNING", "1", "-", "-", "lr=0.2"],
        ["12[3]", "PENDING", "0", "-", "Resources", "lr=0.3"],
    ]
    assert stub.did() == ["GET /v1/jobs", "GET /v1/jobs/12/array"]


def test_show_of_an_array_lists_notifications_that_could_not_be_sent(
    stub: StubDaemon, launch: Launch
) -> None:
    at = "2026-01-02T03:04:05Z"
    of_array = wire.NotifyFailureView(at=at, job=12, target="mail to me", detail="refused\x1b[1m")
    of_element = wire.NotifyFailureView(at=at, job=14, target="https://x/…", detail="HTTP 404")
    stub.on("GET", "/v1/jobs", Json(ARRAY))
    answer_page(stub, of_array, of_element)
    assert launch("show", "12").out.splitlines()[-2:] == [
        "notification (mail to me) failed: refused\\x1b[1m",
        "notification (https://x/… of 12[1]) failed: HTTP 404",
    ]
    shown = json.loads(launch("show", "12", "-o", "json").out)
    assert shown["not_sent"] == [dataclasses.asdict(of_array), dataclasses.asdict(of_element)]


def test_what_differs_between_the_elements_is_said(stub: StubDaemon, launch: Launch) -> None:
    jobs = [
        element(4, "COMPLETED", image="a:4", command=["x", "4"], time_limit=3600.0),
        element(5, "COMPLETED", image="a:5", command=["x", "5"], time_limit=3600.0),
    ]
    stub.on("GET", "/v1/jobs", Json(jobs))
    lines = launch("show", "12").out.splitlines()
    assert "image:      a:4 (12[4]'s; they differ)" in lines
    assert "command:    x 4 (12[4]'s; they differ)" in lines
    assert "time limit: 1h" in lines
    assert not any("ELEMENT" in line for line in lines)


def test_of_many_elements_the_first_20_are_listed(stub: StubDaemon, launch: Launch) -> None:
    stub.on("GET", "/v1/jobs", Json([element(index) for index in range(50)]))
    result = launch("show", "12")
    assert result.out.splitlines()[-1].split()[0] == "12[19]"
    assert result.err == "and 30 more (`launch ps 12` lists all elements)\n"


def test_an_array_whose_values_are_hidden_is_shown_too(stub: StubDaemon, launch: Launch) -> None:
    hidden = dataclasses.replace(
        element(1),
        name=None,
        image=None,
        command=None,
        array={"id": 12, "index": 1, "matrix": None},
    )
    stub.on("GET", "/v1/jobs", Json([hidden]))
    result = launch("show", "12")
    assert result.code == 0
    assert "MATRIX" not in result.out
    assert "12[1]    PENDING" in result.out


def test_an_array_as_json_and_names(stub: StubDaemon, launch: Launch) -> None:
    stub.on("GET", "/v1/jobs", Json(ARRAY))
    shown = json.loads(launch("show", "12", "-o", "json").out)
    assert list(shown) == ["id", "name", "user", "indices", "counts", "jobs", "not_sent"]
    assert (shown["id"], shown["name"], shown["user"]) == (12, "sweep", "alice")
    assert shown["indices"] == "0-3,7"
    assert shown["counts"] == {
        "COMPLETED": 1, "FAILED": 1, "RUNNING": 1, "PENDING": 1, "CANCELLED": 1,
    }  # fmt: skip
    assert shown["jobs"] == [dataclasses.asdict(job) for job in ARRAY]
    assert launch("show", "12", "-o", "name").out.split() == [
        "12[0]", "12[1]", "12[2]", "12[3]", "12[7]",
    ]  # fmt: skip
