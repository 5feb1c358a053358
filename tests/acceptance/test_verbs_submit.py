"""The verbs that act: submit, wait, cancel. As tables, JSON and names."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from tests.acceptance.keys import JOB_KEYS
from tests.acceptance.shell import Shell
from tests.support.daemon import BUSYBOX, DaemonProcess
from tests.support.wait import wait_until

LONG = f"image: {BUSYBOX}\ncommand: sleep 60\nstop_grace_period: 0s\n"


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Two files with three jobs that complete at once."""
    pair = tmp_path / "pair.yaml"
    job = f"{{image: {BUSYBOX}, command: 'true', gpus: 1g.6gb}}"
    pair.write_text(f"jobs:\n  first: {job}\n  second: {job}\n")
    single = tmp_path / "single.yaml"
    single.write_text(f"name: third\nimage: {BUSYBOX}\ncommand: ['true']\n")
    return [str(pair), str(single)]


def queue(launch: Shell, *words: str) -> str:
    """Queue one job; its id."""
    return launch("run", "-d", "--stop-timeout", "0", *words).ok().text.strip()


def names(shared: DaemonProcess, ids: Sequence[str]) -> list[str | None]:
    return [job.name for job in shared.client.jobs(ids)]


def test_submit_queues_the_jobs_of_several_files_in_their_order(
    launch: Shell, files: list[str]
) -> None:
    lines = launch("submit", *files).ok().text.splitlines()
    assert lines[0].split() == ["ID", "NAME", "STATE", "REASON"]
    rows = [line.split() for line in lines[1:]]
    assert [row[1] for row in rows] == ["first", "second", "third"]
    launch("wait", *(row[0] for row in rows)).ok()


def test_submit_as_json_and_names(launch: Shell, shared: DaemonProcess, files: list[str]) -> None:
    found = launch("submit", "-o", "json", *files).ok().json
    assert [list(job)[: len(JOB_KEYS)] for job in found] == [JOB_KEYS] * 3
    assert [job["command"] for job in found] == [["true"]] * 3
    ids = launch("submit", "-o", "name", *files).ok().text.split()
    assert names(shared, ids) == ["first", "second", "third"]
    launch("wait", *ids).ok()


def test_submit_reads_standard_input_beside_files(launch: Shell, files: list[str]) -> None:
    text = f"name: piped\nimage: {BUSYBOX}\ncommand: echo from a pipe\n".encode()
    found = launch("submit", "--wait", "-o", "json", files[1], "-", stdin=text).ok().json
    assert [job["name"] for job in found] == ["third", "piped"]
    assert launch("logs", "-f", "piped").ok().text == "from a pipe\n"


def test_a_dry_run_prints_what_would_be_queued_and_queues_nothing(
    launch: Shell, shared: DaemonProcess, files: list[str]
) -> None:
    before = len(shared.client.jobs(all=True))
    text = launch("submit", "--dry-run", *files).ok().text
    assert [line.split()[0] for line in text.splitlines()] == ["NAME", "first", "second", "third"]
    assert "1g.6gb" in text.splitlines()[1]
    found = launch("submit", "--dry-run", "--wait", "-o", "json", *files).ok().json
    assert [(job["name"], job["profile"], job["image"]) for job in found] == [
        ("first", "1g.6gb", BUSYBOX),
        ("second", "1g.6gb", BUSYBOX),
        ("third", None, BUSYBOX),
    ]
    assert len(shared.client.jobs(all=True)) == before


def test_submit_and_wait_is_0_if_all_completed_and_else_1(launch: Shell, files: list[str]) -> None:
    done = launch("submit", "--wait", *files).ok()
    assert [line.split()[2] for line in done.text.splitlines()[1:]] == ["COMPLETED"] * 3
    assert done.err.startswith("queued 3 jobs: ")
    fails = f"name: fails\nimage: {BUSYBOX}\ncommand: ['false']\n".encode()
    done = launch("submit", "--wait", *files, "-", stdin=fails)
    assert done.code == 1
    assert [line.split()[2] for line in done.text.splitlines()[1:]][-2:] == ["COMPLETED", "FAILED"]


def test_wait_on_one_is_its_code_by_id_name_or_last(launch: Shell) -> None:
    job = queue(launch, "--name", "five", BUSYBOX, "sh", "-c", "exit 5")
    for ref in (job, "five", "last", f"{job}-{job}"):
        done = launch("wait", ref)
        assert done.code == 5
        assert done.text.splitlines()[1].split()[:3] == [job, "five", "FAILED"]
    (found,) = launch("wait", job, "-o", "json").json
    assert (list(found)[: len(JOB_KEYS)], found["exit_code"]) == (JOB_KEYS, 5)
    assert found["command"] == ["sh", "-c", "exit 5"]
    assert launch("wait", job, "-o", "name").text == f"{job}\n"


def test_an_image_that_is_not_found_is_125_with_its_name(launch: Shell, tmp_path: Path) -> None:
    file = tmp_path / "lost.yaml"
    file.write_text("image: nobody/nothing:1\npull_policy: never\n")
    done = launch("submit", "--wait", str(file))
    assert done.code == 1
    assert "ImagePullFailed: image nobody/nothing:1 is not on this machine" in done.text
    done = launch("wait", "last")
    assert done.code == 125
    assert "ImagePullFailed" in done.text


def test_wait_on_several_is_0_if_all_completed_and_else_1(launch: Shell) -> None:
    first, second = (queue(launch, BUSYBOX, "true") for _ in range(2))
    failed = queue(launch, BUSYBOX, "sh", "-c", "exit 5")
    assert launch("wait", first, second).code == 0
    assert launch("wait", f"{first}-{failed}").code == 1


def test_wait_is_124_when_its_time_is_over_and_the_job_goes_on(
    launch: Shell, shared: DaemonProcess
) -> None:
    job = queue(launch, BUSYBOX, "sleep", "60")
    for words in ([job], [job, "last"]):
        done = launch("wait", "--timeout", "0.2s", *words)
        assert done.code == 124
        assert "not all jobs ended within 0.2 s" in done.err
    assert shared.client.show(job).job.outcome is None


def test_wait_on_a_job_that_is_not_there_is_125(launch: Shell) -> None:
    done = launch("wait", "4711")
    assert (done.code, done.out) == (125, b"")
    assert "there is no job 4711" in done.err


def test_cancel_takes_ids_ranges_names_and_last(launch: Shell, shared: DaemonProcess) -> None:
    jobs = [queue(launch, "--name", f"job-{n}", BUSYBOX, "sleep", "60") for n in range(5)]
    assert launch("cancel", jobs[0]).ok().text.splitlines()[1].split()[:2] == [jobs[0], "job-0"]
    found = launch("cancel", "-o", "json", f"{jobs[1]}-{jobs[2]}").ok().json
    assert [str(job["id"]) for job in found] == jobs[1:3]
    assert [job["command"] for job in found] == [["sleep", "60"]] * 2
    assert launch("cancel", "-o", "name", "last", "job-3").ok().text.split() == [jobs[4], jobs[3]]
    assert {launch("wait", job).code for job in jobs} == {130}
    assert {job.outcome for job in shared.client.jobs(jobs)} == {"CANCELLED"}


def test_cancel_of_a_job_that_waits_never_starts_it(launch: Shell, tmp_path: Path) -> None:
    holder = queue(launch, "--gpus", "1g.6gb:4", BUSYBOX, "sleep", "60")
    file = tmp_path / "waits.yaml"
    file.write_text(LONG + "gpus: 1g.6gb\n")
    job = launch("submit", "-o", "name", str(file)).ok().text.strip()
    assert "CANCELLED" in launch("cancel", job).ok().text
    launch("cancel", holder).ok()
    shown = launch("show", job, "-o", "json").ok().json
    assert (shown["outcome"], shown["attempts"], shown["started_at"]) == ("CANCELLED", [], None)


def test_cancel_of_one_that_is_not_there_is_1_and_the_others_are_cancelled(
    launch: Shell,
) -> None:
    job = queue(launch, BUSYBOX, "sleep", "60")
    done = launch("cancel", "4711", job)
    assert done.code == 1
    assert "there is no job 4711" in done.err
    assert launch("wait", job).code == 130


def test_cancel_of_an_ended_job_leaves_it_as_it_is(launch: Shell) -> None:
    launch("run", BUSYBOX, "true").ok()
    assert "COMPLETED" in launch("cancel", "last").ok().text
    assert launch("wait", "last").code == 0


def _says_mig_mode(launch: Shell, job: str) -> bool:
    text = launch("why", job).ok().text
    return "MIG mode is on at GPU 0, so it is not given whole" in text


def test_a_request_for_whole_gpus_where_mig_mode_is_on_says_so_at_once(launch: Shell) -> None:
    for gpus in ("all", "full", "count=all"):
        done = launch("run", "-d", "--gpus", gpus, BUSYBOX, "true").ok()
        assert "MIG mode is on at GPU 0, so it is not given whole: request a slice" in done.err
        job = done.text.strip()
        wait_until(partial(_says_mig_mode, launch, job), what="the reason, once the image is here")
        launch("cancel", job).ok()
    assert launch("run", "-d", "--gpus", "1g.6gb", BUSYBOX, "true").ok().err == ""
