"""A daemon, a real dockerd, a fake GPU: jobs from submit to proof."""

from __future__ import annotations

import itertools
import os

from launcher.engine.containers import Containers
from launcher.fakegpu.sandbox import Sandbox
from launcher.wire import GpuRequest, JobSpec
from tests.support.daemon import BUSYBOX, DaemonProcess
from tests.support.wait import wait_until
from tests.support.whole import many

TWO = GpuRequest(kind="profile", profile="1g.6gb", count=2)
CPU = GpuRequest(kind="none")
SHORT = many(40, 200)


def test_a_job_runs_on_its_slice_and_its_exit_code_comes_out(
    daemon: DaemonProcess, sandbox: Sandbox
) -> None:
    job = daemon.done(daemon.submit("sh", "-c", "echo $LAUNCHER_SLICES; exit 7"))
    assert (job.outcome, job.exit_code, len(job.slices)) == ("FAILED", 7, 1)
    assert daemon.output(job).decode().split() == job.slices
    (start,) = [s for s in sandbox.hook.starts() if s.container == job.container_id]
    assert list(start.devices) == job.slices


def test_standard_output_and_error_come_apart_whole_and_in_order(daemon: DaemonProcess) -> None:
    script = "i=0; while [ $i -lt 300 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done"
    job = daemon.submit("sh", "-c", script + "; printf last")
    out, err = daemon.output(job), daemon.output(job, 2)
    assert out == b"".join(b"out %d\n" % i for i in range(300)) + b"last"
    assert err == b"".join(b"err %d\n" % i for i in range(300))


def test_a_line_longer_than_a_docker_log_entry_comes_back_as_it_was(daemon: DaemonProcess) -> None:
    job = daemon.submit("sh", "-c", "head -c 50000 /dev/zero | tr '\\0' x; echo end")
    assert daemon.output(job) == b"x" * 50000 + b"end\n"


def test_a_container_of_ten_milliseconds_loses_neither_first_nor_last_line(
    daemon: DaemonProcess,
) -> None:
    jobs = [daemon.submit("sh", "-c", "echo first; echo last") for _ in range(8)]
    assert [daemon.output(job) for job in jobs] == [b"first\nlast\n"] * 8


def test_a_command_that_is_not_there_fails_with_127(daemon: DaemonProcess) -> None:
    job = daemon.done(daemon.submit("no-such-program"))
    assert (job.outcome, job.exit_code) == ("FAILED", 127)


def test_an_entrypoint_that_cannot_run_fails_with_126(daemon: DaemonProcess) -> None:
    job = daemon.done(daemon.submit("x", entrypoint=["/etc/passwd"]))
    assert (job.outcome, job.exit_code) == ("FAILED", 126)


def test_a_working_directory_that_cannot_be_made_fails_the_job_not_the_slice(
    daemon: DaemonProcess,
) -> None:
    job = daemon.done(daemon.submit("true", working_dir="/etc/passwd/x"))
    assert job.outcome == "FAILED"
    assert daemon.done(daemon.submit("true")).outcome == "COMPLETED"


def test_an_image_that_is_not_there_and_never_pulled_fails_with_the_reason(
    daemon: DaemonProcess,
) -> None:
    job = daemon.done(daemon.submit("true", image="nobody/nothing:1", pull_policy="never"))
    assert (job.outcome, job.reason, job.exit_code) == ("FAILED", "ImagePullFailed", None)


def test_cancelling_a_job_that_ignores_term_kills_it_after_the_grace(
    daemon: DaemonProcess,
) -> None:
    job = daemon.submit("sh", "-c", "trap '' TERM; while true; do sleep 0.1; done")
    daemon.until(job, "RUNNING")
    daemon.client.cancel(str(job.id))
    ended = daemon.done(job)
    assert (ended.outcome, ended.exit_code) == ("CANCELLED", 137)


def test_a_pending_job_is_cancelled_at_once_and_never_runs(
    daemon: DaemonProcess, sandbox: Sandbox
) -> None:
    running = daemon.submit(
        "sleep", "60", gpus=GpuRequest(kind="profile", profile="1g.6gb", count=4)
    )
    daemon.until(running, "RUNNING")
    waiting = daemon.submit("true")
    (cancelled,) = daemon.client.cancel(str(waiting.id))
    assert (cancelled.outcome, cancelled.attempt) == ("CANCELLED", 0)
    daemon.client.cancel(str(running.id))


def test_a_time_limit_ends_the_job(daemon: DaemonProcess) -> None:
    job = daemon.done(daemon.submit("sleep", "60", time_limit=1.0))
    assert job.outcome == "TIMEOUT"


def test_a_signal_reaches_the_program(daemon: DaemonProcess) -> None:
    script = "trap 'echo got it; exit 5' INT; echo ready; while true; do sleep 0.1; done"
    job = daemon.submit("sh", "-c", script)
    ready = iter(daemon.client.logs(str(job.id), follow=True))
    assert next(ready).data == b"ready\n"
    daemon.client.signal(str(job.id), "SIGINT")
    assert daemon.done(job).exit_code == 5


def test_two_slices_are_given_together_in_one_request(
    daemon: DaemonProcess, sandbox: Sandbox
) -> None:
    job = daemon.done(daemon.submit("true", gpus=TWO))
    assert len(set(job.slices)) == 2
    (start,) = [s for s in sandbox.hook.starts() if s.container == job.container_id]
    assert list(start.devices) == job.slices


def test_a_cpu_job_sees_no_gpu(daemon: DaemonProcess) -> None:
    job = daemon.submit("sh", "-c", "echo $NVIDIA_VISIBLE_DEVICES $LAUNCHER_PROFILE", gpus=CPU)
    ended = daemon.done(job)
    assert (ended.outcome, ended.slices) == ("COMPLETED", []), ended.message
    assert daemon.output(job) == b"void none\n"


def test_memory_and_a_uuid_are_ways_to_ask(daemon: DaemonProcess) -> None:
    by_memory = GpuRequest(kind="memory", memory_gb=5)
    assert daemon.done(daemon.submit("true", gpus=by_memory)).profile == "1g.6gb"
    uuid = daemon.client.slices()[2].uuid
    named = GpuRequest(kind="uuid", uuids=(uuid,))
    assert daemon.done(daemon.submit("true", gpus=named)).slices == [uuid]


def test_more_jobs_than_slices_wait_and_say_why(daemon: DaemonProcess) -> None:
    jobs = [daemon.submit("sleep", "1") for _ in range(5)]
    wait_until(lambda: daemon.client.show(str(jobs[4].id)).blockers, what="the fifth says why")
    last = daemon.client.show(str(jobs[4].id))
    kinds = {b.kind for b in last.blockers}
    assert kinds <= {"Resources", "ImagePull"}
    assert [daemon.done(job).outcome for job in jobs] == ["COMPLETED"] * 5


def test_running_out_of_memory_is_said(daemon: DaemonProcess) -> None:
    script = "x=$(head -c 100000000 /dev/zero | tr '\\0' x); echo ${#x}"
    job = daemon.done(daemon.submit("sh", "-c", script, mem_limit=16 * 2**20))
    assert job.outcome == "OUT_OF_MEMORY"


def test_containers_are_removed_and_slices_free_when_all_is_done(
    daemon: DaemonProcess, docker: Containers
) -> None:
    for job in [daemon.submit("true") for _ in range(3)]:
        daemon.done(job)
    store = daemon.client.status().store
    wait_until(lambda: docker.ours(store) == [], what="every container is removed")
    assert {s.state for s in daemon.client.slices()} == {"free"}


def test_a_log_stays_when_the_container_is_gone(daemon: DaemonProcess, docker: Containers) -> None:
    job = daemon.done(daemon.submit("echo", "kept"))
    wait_until(lambda: docker.inspect(job.container_id or "") is None, what="it is removed")
    assert daemon.output(job) == b"kept\n"


def test_a_process_left_on_the_slice_keeps_it_until_it_is_gone(daemon: DaemonProcess) -> None:
    job = daemon.submit("sleep", "1")
    running = daemon.until(job, "RUNNING")
    (uuid,) = running.slices
    daemon.machine.add_process(uuid, os.getpid())
    assert daemon.done(job).outcome == "COMPLETED"
    other = daemon.done(daemon.submit("true"))
    assert other.slices != [uuid]
    assert next(s for s in daemon.client.slices() if s.uuid == uuid).state == "releasing"
    daemon.machine.remove_process(os.getpid())
    daemon.until(job, "DONE")


def test_many_short_jobs_never_share_a_slice(daemon: DaemonProcess, sandbox: Sandbox) -> None:
    request = JobSpec(
        name="short",
        image=BUSYBOX,
        command=("true",),
        gpus=GpuRequest(kind="profile", profile="1g.6gb"),
    )
    jobs = [daemon.done(j, 100) for j in daemon.client.submit([request] * SHORT)]
    assert {job.outcome for job in jobs} == {"COMPLETED"}
    devices = {s.container: list(s.devices) for s in sandbox.hook.starts()}
    spans: dict[str, list[tuple[str, str]]] = {}
    for job in jobs:
        assert devices[job.container_id or ""] == job.slices
        spans.setdefault(job.slices[0], []).append((job.started_at or "", job.ended_at or ""))
    assert sum(len(found) for found in spans.values()) == SHORT
    for found in spans.values():
        found.sort()
        for (_, ended), (started, _) in itertools.pairwise(found):
            assert ended <= started, "two containers ran on one slice at once"
