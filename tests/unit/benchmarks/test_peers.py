from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.benchmarks.peers import table, trace
from tests.benchmarks.peers.peer import Bench, Mode, NotHereError, Run, script, version_of
from tests.benchmarks.peers.table import Row
from tests.benchmarks.peers.trace import NS, Span

UUIDS = ["MIG-a", "MIG-b", "MIG-c", "MIG-d"]


def span(slot: str, start: float, end: float) -> Span:
    return Span(round(start * NS), round(end * NS), slot)


def run(mode: Mode, place: Path) -> tuple[Bench, Run]:
    bench = Bench("unix:///d.sock", "image:1", place / "payload", UUIDS, place / "bin")
    return bench, Run(mode, place, place / "records")


def test_a_record_says_the_slice_the_start_and_the_end() -> None:
    assert trace.parse("MIG-a 1000 1200\n") == Span(1000, 1200, "MIG-a")


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ("- 1000 1200", "given no slice"),
        ("MIG-a 1200 1000", "ended before it started"),
        ("MIG-a 1000", "not enough values"),
        ("MIG-a soon later", "invalid literal"),
    ],
)
def test_a_record_that_is_not_one_is_refused(record: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        trace.parse(record)


def test_records_are_read_in_order_of_their_start_without_those_half_written(
    tmp_path: Path,
) -> None:
    (tmp_path / "1").write_text("MIG-a 300 400\n")
    (tmp_path / "2").write_text("MIG-b 100 200\n")
    (tmp_path / ".3").write_text("MIG-c ")
    assert trace.finished(tmp_path) == 2
    assert [one.slot for one in trace.read(tmp_path)] == ["MIG-b", "MIG-a"]


def test_the_makespan_is_from_the_submit_to_the_end_of_the_last_job() -> None:
    spans = [span("MIG-a", 11, 19), span("MIG-b", 12, 13)]
    assert trace.makespan(10 * NS, spans) == pytest.approx(9.0)


def test_the_time_between_two_jobs_is_that_of_one_slice() -> None:
    spans = [
        span("MIG-a", 1.5, 2.0),
        span("MIG-b", 0.0, 3.0),
        span("MIG-a", 0.0, 1.0),
        span("MIG-b", 3.25, 4.0),
        span("MIG-a", 2.125, 3.0),
    ]
    assert sorted(trace.between(spans)) == pytest.approx([0.125, 0.25, 0.5])
    assert trace.clashes(spans) == 0


def test_a_slice_with_one_job_is_never_between_two() -> None:
    assert trace.between([span("MIG-a", 0, 1), span("MIG-b", 5, 6)]) == []


def test_two_jobs_on_one_slice_at_once_are_counted() -> None:
    assert trace.clashes([span("MIG-a", 0, 1), span("MIG-a", 0.5, 2)]) == 1


def test_the_table_sets_every_makespan_against_ours() -> None:
    rows = [
        Row("launcher", "0.1", Mode.LAUNCHER, [4.0, 3.0, 5.0], [0.1, 0.2, 0.3]),
        Row("peer", "2.0", Mode.PROCESS, [2.0], [0.005]),
        Row("peer", "2.0", Mode.DOCKER, [6.0], [0.25]),
    ]
    assert list(table.lines(rows))[2:] == [
        "| launcher | 0.1 | launcher | 4.00 s | 1.00 | 200 ms |",
        "| peer | 2.0 | process | 2.00 s | 0.50 | 5 ms |",
        "| peer | 2.0 | docker run | 6.00 s | 1.50 | 250 ms |",
    ]


def test_a_queue_that_is_not_here_stands_in_the_table_with_the_reason() -> None:
    rows = [Row("peer", why="not here: no wheel"), Row("other", "1", Mode.PROCESS, [2.0], [])]
    assert list(table.lines(rows))[2:] == [
        "| peer | - | - | not here: no wheel | - | - |",
        "| other | 1 | process | 2.00 s | - | - |",
    ]


def test_the_notes_say_what_a_queue_could_not_do_its_spread_and_its_clashes() -> None:
    rows = [Row("peer", "1", Mode.DOCKER, [2.0, 3.0], [0.1], clashes=3)]
    assert list(table.notes(rows, {"peer": "knows no GPU"}))[2:] == [
        "- peer: knows no GPU.",
        "- peer, docker run: 3 jobs started on a slice in use!",
        "- peer, docker run: 2 runs, 2.00 to 3.00 s.",
    ]


def test_a_job_outside_a_container_runs_on_the_slice_of_its_slot(tmp_path: Path) -> None:
    bench, one = run(Mode.PROCESS, tmp_path)
    bench.payload.write_text('#!/bin/sh\necho "$NVIDIA_VISIBLE_DEVICES $2"\n')
    bench.payload.chmod(0o755)
    job = script(bench, one, "$(($2 - 1))", "$1")
    done = subprocess.run(
        ["sh", "-c", job, "job", "7", "3"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "MIG-c 7\n"


def test_a_job_without_a_slot_does_not_run(tmp_path: Path) -> None:
    job = script(*run(Mode.PROCESS, tmp_path), "$NO_SUCH_SLOT", "$1")
    done = subprocess.run(
        ["sh", "-c", job, "job", "7"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "no slot" in done.stderr


def test_a_job_in_a_container_is_given_its_slice_by_docker_run(tmp_path: Path) -> None:
    job = script(*run(Mode.DOCKER, tmp_path), "$2", "$1")
    assert "exec docker -H unix:///d.sock run --rm" in job
    assert '--gpus "device=$slice" image:1' in job
    assert "3) slice=MIG-d ;;" in job


def test_a_program_that_is_missing_or_another_one_is_not_here() -> None:
    with pytest.raises(NotHereError, match="peer is not installed"):
        version_of(["no-such-program-at-all"], "peer", "peer")
    with pytest.raises(NotHereError, match="peer does not work"):
        version_of(["false"], "peer", "peer")
    with pytest.raises(NotHereError, match="echo is not that of peer"):
        version_of(["echo", "something else"], "peer", "peer")
    assert version_of(["echo", "peer v1.2-3 of 2020"], "peer", "peer") == "1.2"
