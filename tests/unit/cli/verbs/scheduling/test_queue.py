"""``launch queue``, and the arrays of ``launch ps`` and ``launch show``."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from launcher.cli.output import terminal
from launcher.cli.output.job_tables import tally
from launcher.wire import JobDetail, JobSpec, Retries, SignalBefore
from tests.unit.cli.launch_command import Launch
from tests.unit.cli.queue_views import array_view, entry
from tests.unit.client.stub_daemon import Json, StubDaemon, head, job_view

ELEMENT = {"id": 12, "index": 3, "matrix": {"lr": "0.1", "seed": "2"}}


def folded(*jobs: Any, arrays: list[Any], waiting: int = 0, running: int = 0) -> Json:
    value = head(*jobs).value
    return Json({**value, "arrays": [dataclasses.asdict(each) for each in arrays],
                 "waiting": waiting or value["waiting"],
                 "running": running or value["running"]})  # fmt: skip


def test_the_queue_has_the_numbers_behind_its_order(stub: StubDaemon, launch: Launch) -> None:
    later = entry(position=None, id=15, name=None, use=0.0, share=0.5, count=2, time_limit=None,
                  reason="BeginTime", array=ELEMENT)  # fmt: skip
    stub.on("GET", "/v1/queue", Json([entry(), later]))
    result = launch("queue")
    assert (result.code, result.err) == (0, "")
    rows = [line.split() for line in result.out.splitlines()]
    assert rows[0] == ["POS", "ID", "NAME", "USER", "PRIORITY", "USE", "SHARE", "GPUS", "LIMIT",
                       "WAITS", "REASON"]  # fmt: skip
    assert rows[1][:9] == ["1", "12", "train", "alice", "50", "3.2", "1", "1g.6gb", "4h"]
    assert rows[1][-1] == "Resources"
    assert rows[2][:9] == ["-", "12[3]", "-", "alice", "50", "0.0", "0.5", "1g.6gb:2", "-"]
    assert stub.asked[0].query == "most=50"


@pytest.mark.parametrize(
    ("args", "query"),
    [
        (["-n", "7"], "most=7"),
        (["-o", "json"], "most=100000"),
        (["-o", "name"], "most=100000"),
        (["-o", "json", "-n", "3"], "most=3"),
    ],
)
def test_only_the_table_of_the_queue_is_cut_unless_n_is_said(
    stub: StubDaemon, launch: Launch, args: list[str], query: str
) -> None:
    stub.on("GET", "/v1/queue", Json([]))
    assert launch("queue", *args).code == 0
    assert stub.asked[0].query == query


def test_the_queue_says_how_many_more_wait(stub: StubDaemon, launch: Launch) -> None:
    stub.on("GET", "/v1/queue", Json([entry(), entry(id=13)]))
    stub.on("GET", "/v1/queue/head", folded(job_view(), arrays=[], waiting=1000))
    assert launch("queue", "-n", "2").err == "and 998 more (-n shows more)\n"
    stub.on("GET", "/v1/queue/head", folded(job_view(), arrays=[], waiting=2))
    assert launch("queue", "-n", "2").err == ""


def test_the_queue_as_json_is_the_entries_and_as_names_the_ids(
    stub: StubDaemon, launch: Launch
) -> None:
    entries = [entry(), entry(id=15, array=ELEMENT)]
    stub.on("GET", "/v1/queue", Json(entries))
    assert json.loads(launch("queue", "-o", "json").out) == [
        dataclasses.asdict(each) for each in entries
    ]
    assert launch("queue", "-o", "name").out == "12\n12[3]\n"


def test_an_array_is_one_line_among_the_jobs_by_id(stub: StubDaemon, launch: Launch) -> None:
    jobs = [job_view(id=113, state="RUNNING"), job_view(id=5), job_view(id=114)]
    stub.on("GET", "/v1/queue/head", folded(*jobs, arrays=[array_view()], waiting=42, running=5))
    result = launch("ps")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert [line.split()[0] for line in lines] == ["ID", "5", "12[0-99]", "113", "114"]
    assert "40 pending, 4 running, 56 done (3 failed)" in lines[2]
    assert lines[2].endswith("Resources")


def test_what_an_array_folds_is_not_missing(stub: StubDaemon, launch: Launch) -> None:
    stub.on("GET", "/v1/queue/head", folded(arrays=[array_view()], waiting=50, running=4))
    assert "and 10 more: 4 run, 50 wait" in launch("ps").err


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ({}, "empty"),
        ({"PENDING": 3}, "3 pending"),
        ({"STARTING": 1, "COMPLETED": 2, "CANCELLED": 4}, "1 starting, 6 done"),
        ({"COMPLETING": 1, "RUNNING": 2}, "2 running, 1 completing"),
        ({"LOST": 1, "TIMEOUT": 2, "OUT_OF_MEMORY": 3}, "6 done (6 failed)"),
    ],
)
def test_the_elements_of_an_array_are_counted(counts: dict[str, int], text: str) -> None:
    assert tally(counts) == text


def test_the_elements_that_are_asked_for_have_their_place(stub: StubDaemon, launch: Launch) -> None:
    stub.on("GET", "/v1/jobs", Json([job_view(id=15, array=ELEMENT)]))
    assert launch("ps", "12[3]").out.splitlines()[1].startswith("12[3]  train")
    assert stub.asked[0].query == "all=0&ref=12%5B3%5D"
    assert launch("ps", "12", "-o", "name").out == "12[3]\n"
    assert json.loads(launch("ps", "12", "-o", "json").out)[0]["array"] == ELEMENT


def detail(spec: JobSpec, **changes: Any) -> Json:
    return Json(
        JobDetail(job=job_view(**changes), spec=spec, image_id=None, blockers=[], position=None,
                  attempts=[], events=[])
    )  # fmt: skip


def test_show_tells_what_an_element_is_of_and_how_it_runs_again(
    stub: StubDaemon, launch: Launch
) -> None:
    spec = JobSpec(
        name="a", image="x", retries=Retries(max=2, on=("infra", "exit:75"), backoff=30),
        signal=SignalBefore(name="SIGUSR1", before=60), idle_timeout=1800, preemptible=True,
    )  # fmt: skip
    stub.on("GET", "/v1/jobs", Json([job_view(id=15, array=ELEMENT)]))
    stub.on("GET", "/v1/jobs/15", detail(spec, array=ELEMENT))
    shown = dict(line.split(":", 1) for line in launch("show", "15").out.splitlines())
    shown = {name: value.strip() for name, value in shown.items()}
    assert (shown["id"], shown["matrix"]) == ("12[3]", "lr=0.1 seed=2")
    assert shown["retries"] == "up to 2, on infra, exit:75, after 30s, then twice as long"
    assert shown["signal"] == "SIGUSR1 1m before the time limit"
    assert shown["idle timeout"] == "30m"
    assert shown["preemptible"] == "yes"


def test_show_is_silent_of_what_was_not_asked(stub: StubDaemon, launch: Launch) -> None:
    hidden = {"id": 12, "index": 3, "matrix": None}
    stub.on("GET", "/v1/jobs", Json([job_view(id=15, array=hidden)]))
    stub.on("GET", "/v1/jobs/15", detail(JobSpec(name="a", image="x"), array=hidden))
    text = launch("show", "12[3]").out
    assert "12[3]\n" in text
    for word in ("after", "time limit", "retries", "signal", "idle timeout", "preemptible"):
        assert f"{word}:" not in text


def test_show_tells_the_limit_as_it_is_now_and_what_a_job_comes_after(
    stub: StubDaemon, launch: Launch
) -> None:
    spec = JobSpec(
        name="a", image="x", time_limit=60, depends_on={"prep": "afterok", "12": "afterany"}
    )
    stub.on("GET", "/v1/jobs", Json([job_view(id=15)]))
    stub.on("GET", "/v1/jobs/15", detail(spec, time_limit=5400.0))
    lines = launch("show", "last").out.splitlines()
    assert [line.split(":", 1)[1].strip() for line in lines if "time limit" in line] == ["1h30m"]
    assert ["after:", "afterok:prep,", "afterany:12"] in [line.split() for line in lines]
    assert ["grace:", "10s"] in [line.split() for line in lines]


@pytest.mark.parametrize("verb", ["queue", "ps"])
def test_the_reason_is_seen_on_40_columns(
    stub: StubDaemon, launch: Launch, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setattr(terminal, "width", lambda: 40)
    stub.on("GET", "/v1/queue", Json([entry(id=15, array=ELEMENT)]))
    stub.on("GET", "/v1/queue/head", head(job_view(reason="Resources")))
    heading, row = launch(verb).out.splitlines()
    assert heading.endswith("REASON")
    assert row.endswith("Resources")
