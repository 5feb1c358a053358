"""Jobs that wait for a release, a time, or other jobs: by the command, the flags and job files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.shell import Shell
from tests.support.daemon import BUSYBOX, DaemonProcess

RUN = ("run", "-d", BUSYBOX)


def queued(launch: Shell, *words: str) -> str:
    """The id of a CPU job that was queued."""
    return launch("run", "-d", *words, BUSYBOX, "sh", "-c", "exit 0").ok().text.strip()


def shown(launch: Shell, job: str) -> tuple[str, str | None, str | None]:
    found = launch("show", job, "-o", "json").ok().json
    return found["state"], found["outcome"], found["reason"]


def test_a_held_job_runs_when_it_is_released(launch: Shell) -> None:
    job = queued(launch, "--hold")
    assert shown(launch, job) == ("PENDING", None, "JobHeldUser")
    assert "JobHeldUser" in launch("ps").ok().text
    launch("release", job).ok()
    assert launch("wait", job).code == 0


def test_a_waiting_job_is_held_and_one_that_ended_is_not(launch: Shell) -> None:
    first = queued(launch, "--begin", "+1h")
    assert shown(launch, first)[2] == "BeginTime"
    assert "JobHeldUser" in launch("hold", first).ok().text
    done = queued(launch)
    launch("wait", done).ok()
    refused = launch("hold", done)
    assert refused.code == 1
    assert "only a pending job" in refused.err


def test_a_job_begins_at_its_time(launch: Shell) -> None:
    job = queued(launch, "--begin", "+1s")
    assert launch("wait", job).code == 0
    assert launch("run", "--begin", "soon", BUSYBOX).code == 2


@pytest.mark.parametrize(
    ("how", "code", "outcome"),
    [("afterok", 0, "COMPLETED"), ("afterok", 1, "CANCELLED"), ("afternotok", 1, "COMPLETED"),
     ("afterany", 1, "COMPLETED"), ("afternotok", 0, "CANCELLED")],
)  # fmt: skip
def test_a_job_follows_another_as_it_asked(
    launch: Shell, how: str, code: int, outcome: str
) -> None:
    first = launch("run", "-d", "--hold", BUSYBOX, "sh", "-c", f"exit {code}").ok().text.strip()
    job = queued(launch, "--dependency", f"{how}:{first}")
    assert shown(launch, job) == ("PENDING", None, "Dependency")
    assert f"{how} of job {first}" in launch("show", job).text
    launch("release", first).ok()
    launch("wait", job)
    assert shown(launch, job)[1] == outcome
    if outcome == "CANCELLED":
        assert shown(launch, job)[2] == "DependencyNeverSatisfied"
        assert launch("wait", job).code == 130
    late = queued(launch, "--dependency", f"{how}:{first}")
    launch("wait", late)
    assert shown(launch, late)[1] == outcome, "also where the other had ended before"


def test_jobs_of_a_file_wait_for_each_other_by_name(
    launch: Shell, shared: DaemonProcess, tmp_path: Path
) -> None:
    file = tmp_path / "jobs.yaml"
    step = f"    image: {BUSYBOX}\n    command: sh -c true\n"
    file.write_text(
        f"jobs:\n  report:\n{step}    depends_on: [train]\n"
        f"  train:\n{step}    depends_on: {{prepare: {{condition: afterok}}}}\n  prepare:\n{step}"
    )
    launch("submit", "--wait", str(file)).ok()
    names = ("prepare", "train", "report")
    started = [shared.client.show(name).job.started_at or "" for name in names]
    assert "" < started[0] < started[1] < started[2]


def test_a_cycle_and_a_job_that_is_nowhere_are_refused_and_queue_nothing(
    launch: Shell, shared: DaemonProcess, tmp_path: Path
) -> None:
    before = len(shared.client.jobs(all=True))
    file = tmp_path / "jobs.yaml"
    image = f"image: {BUSYBOX}"
    for text, said in (
        (f"jobs:\n  a: {{{image}, depends_on: [b]}}\n  b: {{{image}, depends_on: [a]}}\n",
         "a -> b -> a is a cycle"),
        (f"jobs:\n  a: {{{image}, depends_on: [c]}}\n", "no job 'c' in this submit"),
    ):  # fmt: skip
        file.write_text(text)
        done = launch("submit", str(file))
        assert done.code == 2
        assert said in done.err
    assert launch("run", "--dependency", "afterok:99999", BUSYBOX).code == 2
    assert len(shared.client.jobs(all=True)) == before


def test_what_a_job_waits_for_survives_a_restart(launch: Shell, shared: DaemonProcess) -> None:
    first = queued(launch, "--hold")
    job = queued(launch, "--dependency", first)
    later = queued(launch, "--begin", "+1h")
    shared.kill()
    shared.start()
    assert [shown(launch, j)[2] for j in (first, job, later)] == [
        "JobHeldUser", "Dependency", "BeginTime",
    ]  # fmt: skip
    launch("release", first).ok()
    assert launch("wait", job).code == 0


def test_slurm_s_dependencies_hold_over_a_restart(launch: Shell, shared: DaemonProcess) -> None:
    first = queued(launch, "--hold", "--name", "alone")
    started = queued(launch, "--dependency", f"after:{first}")
    later = queued(launch, "--dependency", f"after:{first}+600")
    alone = queued(launch, "--name", "alone", "--dependency", "singleton")
    sweep = queued(launch, "--array", "0-1", "--hold")
    pairs = queued(launch, "--array", "0-1", "--dependency", f"aftercorr:{sweep}")
    either = queued(launch, "--dependency", f"afterok:{first}?afterok:{later}")
    waits = {
        started: f"after, the start of job {first}",
        later: f"after, 600 minutes since the start of job {first}",
        alone: "singleton: the end of earlier jobs alone of ",
        f"{pairs}[1]": f"aftercorr of job {sweep}[1]",
        either: f"afterok of job {first} (one of several suffices)",
    }
    for _ in range(2):
        for job, need in waits.items():
            why = launch("why", job, "-o", "json").ok().json
            assert why["blockers"][0]["need"].startswith(need), job
        shared.kill()
        shared.start()
    launch("release", first, f"{sweep}[1]").ok()
    assert launch("wait", started, alone, f"{pairs}[1]", either).code == 0
    assert launch("why", later, "-o", "json").json["reason"] == "BeginTime"
    launch("cancel", f"{sweep}[0]").ok()
    shown = launch("show", f"{pairs}[0]").text
    assert f"DependencyNeverSatisfied: job {sweep}[0] is CANCELLED, aftercorr was required" in shown
    launch("cancel", later).ok()
