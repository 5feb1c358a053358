"""The queue as users meet it: arrays and sweeps, retries, control, reservations, why, what-if."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest

from launcher import Client
from launcher.wire import SelectRequest
from tests.acceptance.shell import Shell
from tests.support.daemon import BUSYBOX, DaemonProcess
from tests.support.wait import wait_until

SLEEP = ("sleep", "60")


def write(directory: Path, text: str) -> str:
    file = directory / "jobs.yaml"
    file.write_text(text.replace("BUSYBOX", BUSYBOX))
    return str(file)


def queued(launch: Shell, *words: str) -> str:
    """The id of a job that was queued."""
    return launch("run", "-d", *words).ok().text.strip()


def busy(launch: Shell, *words: str, count: int = 4) -> list[str]:
    """Jobs that hold every slice of the machine."""
    jobs = [
        queued(launch, "--profile", "1g.6gb", *words, BUSYBOX, "--", *SLEEP) for _ in range(count)
    ]
    for job in jobs:
        wait_until(lambda job=job: state(launch, job) == "RUNNING", 20, f"job {job} runs")
    return jobs


def state(launch: Shell, job: str) -> str:
    """A job's state, asked often: without the command, which takes ten times as long."""
    return Client(launch.environment["LAUNCHER_SOCKET"]).show(job).job.state


def outcomes(launch: Shell, *refs: str) -> list[str | None]:
    return [job["outcome"] for job in launch("ps", "-o", "json", *refs).ok().json]


def test_an_array_is_one_line_and_its_elements_know_their_index(launch: Shell) -> None:
    array = queued(launch, "--array", "0-9%2", BUSYBOX, "--", "sh", "-c",
                   'echo "element $LAUNCHER_ARRAY_INDEX"; sleep 0.2')  # fmt: skip
    line = next(row for row in launch("ps").ok().text.splitlines() if f"{array}[0-9]" in row)
    assert "pending" in line
    assert launch("wait", array).code == 0
    assert outcomes(launch, array) == ["COMPLETED"] * 10
    assert launch("logs", f"{array}[7]").ok().text == "element 7\n"
    starts = launch("ps", "-o", "json", array).ok().json
    assert [job["array"]["index"] for job in starts] == list(range(10))
    assert len(launch("ps", "-o", "json", f"{array}[2-4]").ok().json) == 3


def test_a_sweep_runs_one_job_a_combination_and_who_depends_on_it_waits_for_all(
    launch: Shell, tmp_path: Path
) -> None:
    file = write(
        tmp_path,
        """\
jobs:
  sweep:
    image: BUSYBOX
    command: ["sh", "-c", "echo lr=${lr} seed=${seed} cost=$$"]
    matrix:
      lr: [0.10, 0.01]
      seed: [1, 2]
      exclude: [{lr: 0.01, seed: 2}]
    max_parallel: 2
  gather:
    image: BUSYBOX
    command: ["echo", "all done"]
    depends_on: [sweep]
""",
    )
    views = launch("submit", "-o", "json", file).ok().json
    array, gather = views[0]["array"]["id"], views[-1]["id"]
    assert launch("wait", str(gather)).code == 0
    texts = [launch("logs", f"{array}[{i}]").ok().text.split(" cost")[0] for i in range(3)]
    assert texts == ["lr=0.10 seed=1", "lr=0.10 seed=2", "lr=0.01 seed=1"]
    ended = [j["ended_at"] for j in launch("ps", "-o", "json", str(array)).ok().json]
    assert max(ended) < launch("show", str(gather), "-o", "json").json["started_at"]


def test_a_job_runs_again_for_the_end_that_it_names_and_keeps_each_attempts_log(
    launch: Shell,
) -> None:
    program = 'echo "try $LAUNCHER_ATTEMPT"; [ $LAUNCHER_ATTEMPT = 3 ] || exit 75'
    words = ("--profile", "1g.6gb", "--retries", "5", "--retry-on", "exit:75")
    done = launch("run", "-q", *words, BUSYBOX, "sh", "-c", program)
    assert done.code == 0
    shown = launch("show", "last", "-o", "json").ok().json
    assert [a["exit_code"] for a in shown["attempts"]] == [75, 75, 0]
    assert shown["attempts"][0]["cause"] == "FAILED (exit 75): retry 1 of 5"
    assert launch("logs", "--attempt", "2", "last").ok().text == "try 2\n"
    assert launch("logs", "-f", "--attempt", "1", "last").ok().text == "try 1\n"
    assert launch("logs", "-f", "last").ok().text == "try 3\n"
    assert len({a["container_name"] for a in shown["attempts"]}) == 3


def test_failed_elements_alone_are_tried_again_under_their_ids(launch: Shell) -> None:
    program = "[ $LAUNCHER_ATTEMPT = 2 ] || [ $LAUNCHER_ARRAY_INDEX != 1 ] || exit 3"
    array = queued(launch, "--array", "0-2", BUSYBOX, "--", "sh", "-c", program)
    assert launch("wait", array).code == 1
    assert outcomes(launch, array) == ["COMPLETED", "FAILED", "COMPLETED"]
    again = launch("retry", "--failed", array, "-o", "json").ok().json
    assert [job["array"]["index"] for job in again] == [1]
    assert launch("wait", array).code == 0
    assert [j["attempt"] for j in launch("ps", "-o", "json", array).ok().json] == [1, 2, 1]
    assert launch("retry", "--failed", array).code == 1


def test_a_running_job_is_requeued_under_its_id(launch: Shell) -> None:
    program = "[ $LAUNCHER_ATTEMPT = 2 ] || sleep 60"
    job = queued(launch, "--profile", "1g.6gb", "--stop-timeout", "1", BUSYBOX, "sh", "-c", program)
    wait_until(lambda: state(launch, job) == "RUNNING", 20, "it runs")
    launch("requeue", job).ok()
    assert launch("wait", job).code == 0
    shown = launch("show", job, "-o", "json").ok().json
    assert (shown["attempt"], len(shown["attempts"])) == (2, 2)
    assert shown["attempts"][0]["cause"] == "requeued by uid 0"


def test_a_warning_reaches_the_program_before_its_time_is_up(launch: Shell) -> None:
    program = 'trap "echo saved; exit 0" USR1; while :; do sleep 0.1; done'
    words = ("--time", "3s", "--signal", "USR1@2s")
    done = launch("run", "-q", *words, BUSYBOX, "sh", "-c", program)
    assert (done.code, done.text) == (0, "saved\n")


def test_a_job_with_nothing_on_its_slice_is_ended_after_its_idle_timeout(launch: Shell) -> None:
    words = ("--profile", "1g.6gb", "--idle-timeout", "2s", "--stop-timeout", "1")
    done = launch("run", *words, BUSYBOX, *SLEEP)
    assert done.code == 124
    assert "no process on its slices for 2 s" in done.err


def test_jobs_are_cancelled_by_state_and_name(launch: Shell) -> None:
    busy(launch, "--stop-timeout", "1")
    names = ("train-a", "train-b", "other")
    jobs = [queued(launch, "--profile", "1g.6gb", "--name", n, BUSYBOX, *SLEEP) for n in names]
    gone = launch("cancel", "--user", "me", "--state", "pending", "--name", "train-*", "-o", "name")
    assert gone.ok().text.split() == jobs[:2]
    assert state(launch, jobs[2]) == "PENDING"
    assert launch("cancel").code == 2


def test_a_waiting_job_can_be_edited_and_of_a_running_one_its_limit(launch: Shell) -> None:
    running = busy(launch, "--time", "1h", "--stop-timeout", "1")[0]
    first = queued(launch, "--profile", "1g.6gb", "--priority", "20", BUSYBOX, *SLEEP)
    second = queued(launch, "--profile", "1g.6gb", "--priority", "10", BUSYBOX, *SLEEP)
    order = [e["id"] for e in launch("queue", "-o", "json").ok().json]
    assert order == [int(first), int(second)]
    launch("edit", second, "--priority", "30", "--time", "10m").ok()
    order = [e["id"] for e in launch("queue", "-o", "json").ok().json]
    assert order == [int(second), int(first)]
    launch("edit", first, "--gpus", "none").ok()
    wait_until(lambda: state(launch, first) != "PENDING", 20, "it needs no slice any more")
    launch("edit", running, "--time", "1s").ok()
    assert launch("wait", running).code == 124
    assert launch("edit", running, "--priority", "1").code == 1


def test_why_tells_who_is_in_the_way_and_when_it_may_start(launch: Shell) -> None:
    jobs = busy(launch, "--time", "1h", "--stop-timeout", "1")
    waits = queued(launch, "--profile", "1g.6gb", "--time", "5m", BUSYBOX, *SLEEP)
    told = launch("why", waits, "-o", "json").ok().json
    assert (told["state"], told["reason"], told["position"]) == ("PENDING", "Resources", 1)
    (blocker,) = told["blockers"]
    assert blocker["jobs"] == [int(job) for job in jobs]
    start = datetime.fromisoformat(told["estimated_start"])
    assert timedelta(minutes=55) < start - datetime.now(UTC) < timedelta(minutes=65)
    behind = queued(launch, "--profile", "1g.6gb", "--time", "5m", BUSYBOX, *SLEEP)
    text = launch("why", behind).ok().text
    assert f"job {waits}" in text
    assert "Priority" in text
    assert (
        "does not wait" in launch("why", jobs[0]).ok().text.lower() or launch("why", jobs[0]).ok()
    )


def test_slices_are_reserved_for_a_user_and_shown_as_a_timeline(
    launch: Shell, shared: DaemonProcess
) -> None:
    uuids = [s.uuid for s in shared.client.slices()]
    begin = "+1h"
    words = ("--profile", "1g.6gb", "--count", "4", "--user", "nobody", "--begin", begin)
    launch("reserve", "course", *words, "--for", "2h").ok()
    try:
        (found,) = launch("reserve", "-o", "json").ok().json
        assert (found["user"], found["state"]) == ("nobody", "coming")
        assert sorted(found["slices"]) == sorted(uuids)
        assert "course" in launch("reserve").ok().text
        long = queued(launch, "--profile", "1g.6gb", "--time", "3h", BUSYBOX, *SLEEP)
        wait_until(
            lambda: launch("show", long, "-o", "json").ok().json["reason"] == "Reservation",
            what="its image is here, and the reservation bars it",
        )
        assert launch("run", "-q", "--profile", "1g.6gb", "-t", "5m", BUSYBOX, "true").code == 0
        assert launch("reserve", "course", *words, "--for", "2h").code == 1
        assert (
            launch("reserve", "b", *words[:-4], "--user", "nosuch", *words[-2:], "--for", "2h").code
            == 2
        )
    finally:
        launch("reserve", "course", "--cancel").ok()
    wait_until(lambda: state(launch, long) == "RUNNING", 20, "the reservation is gone")


def test_what_if_replays_the_queue_over_layouts_and_recommends_one(
    launch: Shell, tmp_path: Path
) -> None:
    file = write(
        tmp_path,
        """\
jobs:
  small:
    image: BUSYBOX
    gpus: 1g.6gb
    array: 0-7
    schedule: {time_limit: 1h}
""",
    )
    asked = ("whatif", "--jobs", file, "--layout", "1g.6gb:4", "--layout", "2g.12gb:2")
    found = launch(*asked, "-o", "json").ok().json
    four = next(f for f in found if f["layout"] == "1g.6gb:4")
    two = next(f for f in found if f["layout"] == "2g.12gb:2")
    assert (four["makespan"], four["mean_wait"], four["use"]) == (7200, 1800, 1.0)
    assert len(two["never"]) == 8
    assert any(f["best"] for f in found if f is not two)
    picture = tmp_path / "gantt.svg"
    told = launch(*asked, "-o", f"svg={picture}").ok()
    assert ElementTree.fromstring(picture.read_text()).tag.endswith("svg")
    assert told.text == ""
    assert "1g.6gb" in launch(*asked).ok().text
    assert launch("whatif", "--layout", "9g.99gb").code == 2


def test_what_if_can_take_run_times_from_history(launch: Shell, tmp_path: Path) -> None:
    for _ in range(3):
        words = ("--name", "quick", "--profile", "1g.6gb", BUSYBOX, "sleep", "0.3")
        launch("run", "-q", *words).ok()
    file = write(tmp_path, "name: quick\nimage: BUSYBOX\ngpus: 1g.6gb\n")
    (found,) = launch("whatif", "--jobs", file, "--runtime", "history", "-o", "json").ok().json
    assert 0.2 < found["makespan"] < 30


@pytest.mark.parametrize("verb", ["hold", "cancel"])
def test_the_id_of_an_array_means_all_of_it(launch: Shell, verb: str) -> None:
    array = queued(launch, "--array", "0-4", "--begin", "+1h", BUSYBOX, "true")
    changed = json.loads(launch(verb, array, "-o", "json").ok().out)
    assert len(changed) == 5


def test_a_preemptible_job_gives_way_and_comes_back(make_daemon: object, shell_for: object) -> None:
    config = "inventory_seconds = 1.0\nsweep_seconds = 1.0\n[queue]\npreempt_after = '0s'\n"
    daemon = make_daemon("A30:1g.6gb*1", config=config).start()  # type: ignore[operator]
    launch = shell_for(daemon)  # type: ignore[operator]
    program = "[ $LAUNCHER_ATTEMPT = 2 ] || sleep 60"
    low = queued(
        launch, "--profile", "1g.6gb", "--priority", "1", "--preemptible", "--stop-timeout", "1",
        BUSYBOX, "--", "sh", "-c", program,
    )  # fmt: skip
    wait_until(lambda: state(launch, low) == "RUNNING", 20, "it runs")
    assert launch("run", "-q", "--profile", "1g.6gb", BUSYBOX, "true").code == 0
    assert launch("wait", low).code == 0
    shown = launch("show", low, "-o", "json").ok().json
    assert shown["attempts"][0]["cause"].startswith("gave way to job")


def test_limits_and_quotas_of_the_configuration_hold(
    make_daemon: object, shell_for: object
) -> None:
    config = """\
inventory_seconds = 1.0
[queue]
default_time_limit = "1h"
[quota]
running_slices = 1
queued_jobs = 3
"""
    daemon = make_daemon("A30:1g.6gb*4", config=config).start()  # type: ignore[operator]
    launch = shell_for(daemon)  # type: ignore[operator]
    (first,) = busy(launch, "--stop-timeout", "1", count=1)
    second = queued(launch, "--profile", "1g.6gb", BUSYBOX, *SLEEP)
    shown = launch("show", second, "-o", "json").ok().json
    assert shown["reason"] == "Quota"
    refused = launch("run", "-d", "--gpus", "1g.6gb:2", BUSYBOX, *SLEEP)
    assert refused.code == 125
    assert "2 slices at once" in refused.err
    refused = launch("run", "-d", "--array", "0-3", BUSYBOX, *SLEEP)
    assert "the quota of 3" in refused.err
    launch("cancel", first).ok()
    wait_until(lambda: state(launch, second) == "RUNNING", 20, "the quota lets it start")


def test_a_restart_forgets_nothing_of_the_queue(make_daemon: object, shell_for: object) -> None:
    daemon = make_daemon("A30:1g.6gb*1").start()  # type: ignore[operator]
    launch = shell_for(daemon)  # type: ignore[operator]
    program = (
        "[ $LAUNCHER_ATTEMPT = 1 ] || exit 0; trap 'exit 75' USR1; while :; do sleep 0.05; done"
    )
    words = ("--profile", "1g.6gb", "--retries", "1", "--retry-on", "exit:75", "-t", "1h")
    array = queued(launch, "--array", "0-2%1", *words, BUSYBOX, "--", "sh", "-c", program)
    launch("reserve", "r", "--profile", "1g.6gb", "--user", "root", "--begin", "+1h", "--for", "1h")
    for _ in range(3):
        (job,) = wait_until(
            lambda: [j for j in daemon.client.jobs() if (j.state, j.attempt) == ("RUNNING", 1)],
            20,
            "an element runs",
        )
        daemon.kill()
        daemon.start()
        one = str(job.id)
        daemon.client.signal(one, "SIGUSR1")
        wait_until(lambda one=one: daemon.client.show(one).job.attempt == 2, 20, "it is retried")
    assert launch("wait", array).code == 0
    assert [j["attempt"] for j in launch("ps", "-o", "json", array).json] == [2, 2, 2]
    assert [r["name"] for r in launch("reserve", "-o", "json").json] == ["r"]


def test_a_job_in_the_foreground_shows_the_output_of_all_its_attempts(launch: Shell) -> None:
    program = 'seq 1 20000; echo "try $LAUNCHER_ATTEMPT"; [ $LAUNCHER_ATTEMPT = 3 ] || exit 75'
    words = ("--retries", "5", "--retry-on", "exit:75")
    done = launch("run", "-q", *words, BUSYBOX, "sh", "-c", program)
    assert done.code == 0
    lines = done.text.splitlines()
    assert [line for line in lines if line.startswith("try")] == ["try 1", "try 2", "try 3"]
    assert len(lines) == 3 * 20001


def test_the_jobs_of_a_file_that_are_retried_wait_for_each_other_as_before(
    launch: Shell, tmp_path: Path
) -> None:
    file = write(
        tmp_path,
        """\
jobs:
  merge:
    image: BUSYBOX
    command: ["true"]
    depends_on: {work: {condition: afterany}}
  work:
    image: BUSYBOX
    command: ["sh", "-c", "sleep 0.5; [ $LAUNCHER_ATTEMPT = 2 ]"]
    array: 0-2
""",
    )
    views = launch("submit", "-o", "json", file).ok().json
    merge, array = str(views[0]["id"]), str(views[-1]["array"]["id"])
    launch("wait", merge).ok()
    launch("retry", "-f", file).ok()
    assert launch("wait", merge).code == 0
    jobs = launch("ps", "-o", "json", array).ok().json
    assert [job["outcome"] for job in jobs] == ["COMPLETED"] * 3
    shown = launch("show", merge, "-o", "json").ok().json
    assert shown["attempt"] == 2
    assert max(job["ended_at"] for job in jobs) < shown["started_at"]


def test_elements_are_named_by_lists_and_an_array_is_no_job(launch: Shell) -> None:
    array = queued(launch, "--array", "0-5", BUSYBOX, "true")
    launch("wait", array).ok()
    some = launch("ps", "-o", "json", f"{array}[0,2,4-9]").ok().json
    assert [job["array"]["index"] for job in some] == [0, 2, 4, 5]
    refused = launch("logs", array)
    assert refused.code == 2
    assert f"{array} is an array of 6 jobs" in refused.err
    bad = launch("wait", f"{array}[a]")
    assert "Write 12[3]" in bad.err
    after = queued(launch, "--dependency", f"afterok:{array}[3]", BUSYBOX, "true")
    assert launch("wait", after).code == 0


@pytest.mark.parametrize("by", ["id", "name", "last"])
def test_every_verb_means_all_of_an_array(launch: Shell, by: str) -> None:
    name = f"arr-{by}"
    words = ("--begin", "+1d", "--name", name, "--array")
    old = queued(launch, *words, "0-1", BUSYBOX, "true")
    array = queued(launch, *words, "0-2", BUSYBOX, "true")
    ref = {"id": array, "name": name, "last": "last"}[by]
    elements = [f"{array}[{index}]" for index in range(3)]
    for verb in ("retry", "requeue"):
        assert launch(verb, ref).code == 1, "none of them runs or has ended"
    for verb in ("ps", "hold", "release", "show", "edit --priority=9", "cancel", "wait", "retry"):
        assert launch(*verb.split(), ref, "-o", "name").text.split() == elements, verb
    why = launch("why", ref).text
    assert why.startswith(f"array {array} {name} of "), why
    for verb in (("logs",), ("logs", "-f")):
        refused = launch(*verb, ref)
        assert refused.code == 2
        assert f"Name one of them: {array}[" in refused.err
    for element in (f"{ref}[1]", launch("ps", "-o", "name", ref).text.split()[1]):
        assert launch("show", "-o", "name", element).ok().text == f"{array}[1]\n"
        assert launch("logs", element).code == 0
    assert outcomes(launch, old) == [None, None], "an older one of that name is left alone"
    launch("cancel", old).ok()
    launch("cancel", array)


def test_a_verb_that_could_do_nothing_says_so(launch: Shell) -> None:
    array = queued(launch, "--array", "0-2", BUSYBOX, "true")
    launch("wait", array).ok()
    for words in (("requeue", array), ("edit", array, "--time", "1h"), ("hold", array)):
        assert launch(*words).code == 1
    assert launch("cancel", array, "-o", "name").ok().text == ""


def test_more_jobs_than_one_request_may_name_are_named_in_several(daemon: DaemonProcess) -> None:
    job = daemon.submit("true", hold=True)
    many = [str(job.id)] * 250 + [f"{n}-{n + 1}" for n in range(1, 1800)]
    assert [found.id for found in daemon.client.jobs(many[:250])] == [job.id]
    ended = daemon.client.cancel_all(SelectRequest(refs=many, name="t?s*"))
    assert [found.id for found in ended] == [job.id]
