"""A user whose logs are above the quota runs on: the logs are cut, and nobody else's are."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

from launcher import Client
from launcher.wire import NOTE, STDOUT, GpuRequest, JobSpec, JobView
from tests.conftest import MakeDaemon
from tests.support.daemon import BUSYBOX, CONFIG, DaemonProcess, as_user
from tests.support.keepers import keeper_of
from tests.support.wait import wait_until

ALICE, BOB = (pwd.getpwnam(name).pw_uid for name in ("games", "news"))
MIB = 2**20


def loud(daemon: DaemonProcess, uid: int, mib: int) -> tuple[JobView, list[str]]:
    """Run a job that prints so much; return it and what its submitter was told."""
    told: list[str] = []
    request = JobSpec(
        name="loud",
        image=BUSYBOX,
        command=("sh", "-c", f"head -c {mib * MIB} /dev/zero"),
        gpus=GpuRequest(kind="none"),
    )
    with as_user(uid):
        (job,) = Client(str(daemon.socket), notice=told.append).submit([request])
    assert daemon.done(job).outcome == "COMPLETED"
    return job, told


def written(daemon: DaemonProcess, job: JobView) -> tuple[int, list[str]]:
    """Return how many bytes of a job's output are in its log, and the launcher's notes there."""
    frames = list(daemon.client.logs(str(job.id), follow=True))
    size = sum(len(frame.data) for frame in frames if frame.stream == STDOUT)
    return size, [frame.data.decode() for frame in frames if frame.stream == NOTE]


def test_logs_above_the_quota_are_cut_and_say_why_and_nobody_elses_are(
    make_daemon: MakeDaemon,
) -> None:
    daemon = make_daemon(config=CONFIG + f"[quota]\nlog_bytes = {4 * MIB}\n").start()
    first, told = loud(daemon, ALICE, 3)
    assert len(told) == 1, "a log could have more than the quota"
    assert written(daemon, first) == (3 * MIB, [])
    for _ in range(2):  # the count outlives a restart
        wait_until(lambda: "at 1 MiB" in loud(daemon, ALICE, 0)[1][0], 30, "it is counted")
        job, told = loud(daemon, ALICE, 3)
        size, notes = written(daemon, job)
        assert size <= MIB + 4096
        assert "the log was cut here: at its start the logs of user games had " in notes[0]
        daemon.stop()
        daemon.start()
    other, told = loud(daemon, BOB, 3)
    assert written(daemon, other) == (3 * MIB, [])


@pytest.mark.parametrize("runtime", ["docker", "host"])
def test_the_limit_of_a_log_outlives_the_daemon_and_the_keeper(
    make_daemon: MakeDaemon, runtime: str
) -> None:
    group = grp.getgrgid(pwd.getpwnam("games").pw_gid).gr_name
    config = f'{CONFIG}[quota]\nlog_bytes = {MIB}\n[host]\ngroups = ["{group}"]\n'
    daemon = make_daemon(config=config).start()
    go = Path(tempfile.mkdtemp(prefix="go-")) / "go"
    go.parent.chmod(0o755)
    waits = f"until [ -e {go} ]; do sleep 0.1; done" if runtime == "host" else "sleep 4"
    script = f"echo now; {waits}; head -c {3 * MIB} /dev/zero"
    command = ["sh", "-c", script]
    image = BUSYBOX if runtime == "docker" else ""
    request = JobSpec(
        name="loud", image=image, command=command, gpus=GpuRequest(kind="none"), runtime=runtime,
        working_dir="/" if runtime == "host" else None,
    )  # fmt: skip
    with as_user(ALICE):
        (job,) = Client(str(daemon.socket)).submit([request])
    log = daemon.state / f"logs/0/{job.id}.1.log"
    wait_until(lambda: log.exists() and b"now" in log.read_bytes())
    os.kill(keeper_of(daemon), signal.SIGKILL)
    daemon.kill()
    daemon.start()
    go.touch()
    assert daemon.done(job).outcome == "COMPLETED"
    size, notes = written(daemon, job)
    assert size <= MIB + 4096
    assert any("the log was cut here: at its start the logs of user games had " in n for n in notes)
    wait_until(lambda: not list(log.parent.glob("*.limit")), 30)
    shutil.rmtree(go.parent)
