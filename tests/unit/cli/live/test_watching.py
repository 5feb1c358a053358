"""`--watch` into a pipe: again only after a change, JSON a document a line."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator

import pytest

from launcher.cli.live import watching
from launcher.client.snapshot import Snapshot
from tests.unit.cli.launch_command import Launch, Result
from tests.unit.cli.live.views import LiveMachine, machine, quarter, running
from tests.unit.client.stub_daemon import Asked, Json, Reply, StubDaemon, slice_view

END = {"kind": "not-allowed", "message": "the end of the test", "fix": None}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(watching, "RETRY_SECONDS", 0.0)


def watched(
    launch: Launch, stub: StubDaemon, snapshots: list[Snapshot | None], *words: str
) -> Result:
    """Run a verb while the machine changes like this; None is a daemon that is away."""
    live = LiveMachine(stub, machine())
    left: Iterator[Snapshot | None] = iter(snapshots)

    def otherwise(asked: Asked) -> Reply | None:
        if asked.path != "/v1/changes/wait":
            return None
        try:
            now = next(left)
        except StopIteration:
            return Json(END, 403)
        if now is None:
            return Json({"kind": "recovery-mode", "message": "away", "fix": None}, 503)
        live.change(now)
        return Json({"count": live.count})

    stub.otherwise = otherwise
    result = launch(*words, "--watch")
    assert "the end of the test" in result.err
    return result


def test_a_table_is_printed_again_after_an_empty_line_when_it_changed(
    launch: Launch, stub: StubDaemon
) -> None:
    one, other = machine(quarter(0)), machine(quarter(0, state="drained"))
    result = watched(launch, stub, [one, one, other, other, one], "slices")
    tables = result.out.split("\n\n")
    assert [table.splitlines()[1].split()[3] for table in tables] == ["free", "drained", "free"]


def test_what_the_table_does_not_show_is_no_change_of_it(launch: Launch, stub: StubDaemon) -> None:
    used = [machine(quarter(0, memory_used_mib=mib)) for mib in (1, 2, 3)]
    assert watched(launch, stub, [*used], "slices").out.count("UUID") == 1


def test_time_that_goes_on_is_no_change_of_the_queue(launch: Launch, stub: StubDaemon) -> None:
    jobs = machine(jobs=[running(12)])
    more = machine(jobs=[running(12), running(13)])
    assert watched(launch, stub, [jobs, jobs, more], "ps").out.count("REASON") == 2


def test_json_is_a_document_a_line(launch: Launch, stub: StubDaemon) -> None:
    states = [machine(quarter(0, memory_used_mib=mib)) for mib in (1, 2)]
    lines = watched(launch, stub, [*states], "slices", "-o", "json").out.splitlines()
    assert [json.loads(line)[0]["memory_used_mib"] for line in lines] == [1, 2]


def test_json_of_ps_has_the_jobs(launch: Launch, stub: StubDaemon) -> None:
    def jobs(job: int) -> Snapshot:
        return machine(elements=[running(job)])

    lines = watched(launch, stub, [jobs(12), jobs(13)], "ps", "-o", "json").out.splitlines()
    assert [[job["id"] for job in json.loads(line)] for line in lines] == [[12], [13]]


def test_names_are_printed_again_too(launch: Launch, stub: StubDaemon) -> None:
    states = [machine(slice_view(uuid="MIG-a")), machine(slice_view(uuid="MIG-b"))]
    assert watched(launch, stub, [*states], "slices", "-o", "name").out == "MIG-a\n\nMIG-b\n"


def test_a_daemon_that_restarts_is_waited_for_and_said_once(
    launch: Launch, stub: StubDaemon
) -> None:
    one = machine(quarter(0))
    result = watched(launch, stub, [one, None, None, one], "slices")
    assert result.err.count("the daemon does not answer, trying again") == 1
    assert result.out.count("UUID") == 1


def test_without_a_daemon_at_first_it_fails_at_once(launch: Launch, stub: StubDaemon) -> None:
    stub.on("GET", "/v1/changes/wait", Json({"kind": "recovery-mode", "message": "away",
                                             "fix": None}, 503))  # fmt: skip
    assert launch("slices", "--watch").code != 0


def test_the_rest_of_a_long_queue_is_counted_in_the_table(launch: Launch, stub: StubDaemon) -> None:
    snapshot = machine(jobs=[running(12)])
    head = dataclasses.replace(snapshot.head, waiting=99)
    long = dataclasses.replace(snapshot, head=head)
    assert "and 99 more: 1 run, 99 wait" in watched(launch, stub, [long], "ps").out
