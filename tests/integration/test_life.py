"""A daemon that drains, and what systemd hears of one."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.daemon.service_lifetime import in_short
from launcher.engine.containers import Containers
from launcher.errors import LauncherError
from launcher.store.connect import FILE_NAME
from launcher.wire import GpuRequest
from tests.conftest import MakeDaemon
from tests.support.builders import CPU, Machine, profile
from tests.support.daemon import BUSYBOX, DaemonProcess
from tests.support.engine import let_go
from tests.support.wait import wait_until

CPU_JOB = GpuRequest(kind="none")
WAITS = ("sh", "-c", "while [ ! -e /tmp/go ]; do sleep 0.1; done")


def test_a_draining_daemon_starts_nothing_takes_submits_and_ends_with_the_last_job(
    daemon: DaemonProcess, docker: Containers
) -> None:
    running = daemon.until(daemon.submit(*WAITS), "RUNNING")
    told = daemon.cli("stop", "--drain")
    assert (told.returncode, told.stdout) == (0, "")
    assert "1 job runs now" in told.stderr
    waiting = [daemon.submit("true"), daemon.submit("true", gpus=CPU_JOB)]
    for job in waiting:
        blocker = daemon.blocker_of(job)
        assert (blocker.kind, "draining" in blocker.have) == ("DaemonDraining", True)
    status = json.loads(daemon.cli("status", "-o", "json").stdout)
    assert status["state"] == "degraded"
    assert any("daemon is draining" in problem for problem in status["problems"])
    assert [daemon.state_of(job) for job in waiting] == ["PENDING", "PENDING"]
    let_go(docker, running.container_id or "")
    assert daemon.process is not None
    assert daemon.process.wait(15) == 0
    assert "drained" in daemon.tail()
    daemon.start()
    assert daemon.client.show(str(running.id)).job.outcome == "COMPLETED"
    assert [daemon.done(job).outcome for job in waiting] == ["COMPLETED", "COMPLETED"]


def test_serve_drain_follows_what_runs_and_ends(daemon: DaemonProcess, docker: Containers) -> None:
    running = daemon.until(daemon.submit(*WAITS), "RUNNING")
    daemon.kill()
    daemon.words = ["--drain"]
    daemon.start()
    waiting = daemon.submit("true")
    assert daemon.state_of(running) == "RUNNING"
    let_go(docker, running.container_id or "")
    assert daemon.process is not None
    assert daemon.process.wait(15) == 0
    daemon.start(wait=False)
    assert daemon.process.wait(15) == 0, "nothing runs: it ends at once"
    daemon.words = []
    daemon.start()
    assert daemon.done(waiting).outcome == "COMPLETED"


@pytest.fixture
def systemd() -> Iterator[tuple[str, socket.socket]]:
    """What systemd would be: a datagram socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("")  # the kernel chooses a name of its own
        listening.settimeout(10)
        yield f"@{listening.getsockname()[1:].decode()}", listening


def heard(listening: socket.socket, message: bytes) -> list[bytes]:
    """Return what was heard up to a message."""
    told: list[bytes] = []
    while message not in told:
        told.append(listening.recv(4096))
    return told


def test_systemd_hears_of_start_state_life_and_end(
    make_daemon: MakeDaemon, systemd: tuple[str, socket.socket]
) -> None:
    name, listening = systemd
    daemon = make_daemon()
    daemon.extra = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "400000"}
    daemon.start()
    assert b"STATUS=0 jobs run, 0 wait" in heard(listening, b"READY=1") + heard(
        listening, b"STATUS=0 jobs run, 0 wait"
    )
    daemon.until(daemon.submit("sleep", "30"), "RUNNING")
    heard(listening, b"STATUS=1 jobs run, 0 wait")
    heard(listening, b"WATCHDOG=1")
    daemon.stop()
    assert heard(listening, b"STOPPING=1")


def test_a_daemon_whose_commits_hang_gives_no_sign_of_life(
    make_daemon: MakeDaemon, systemd: tuple[str, socket.socket]
) -> None:
    name, listening = systemd
    daemon = make_daemon()
    daemon.extra = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "400000"}
    daemon.start()
    heard(listening, b"WATCHDOG=1")
    other = sqlite3.connect(daemon.state / FILE_NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    def submit() -> None:
        with contextlib.suppress(LauncherError):
            daemon.submit("true")

    asking = threading.Thread(target=submit)
    asking.start()
    listening.settimeout(1.2)
    with pytest.raises(TimeoutError):  # three times as long as systemd would wait
        heard(listening, b"never")
    listening.settimeout(10)
    other.execute("ROLLBACK")
    other.close()
    heard(listening, b"WATCHDOG=1")
    asking.join(20)
    wait_until(lambda: daemon.submit("true").id > 0, what="it takes submits again")


def test_a_daemon_in_recovery_mode_is_ready_and_says_why(
    make_daemon: MakeDaemon, systemd: tuple[str, socket.socket]
) -> None:
    name, listening = systemd
    daemon = make_daemon()
    daemon.state.mkdir()
    (daemon.state / FILE_NAME).write_bytes(b"\xa5" * 40960)
    daemon.extra = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "400000"}
    daemon.start()
    heard(listening, b"READY=1")
    assert b"recovery mode" in listening.recv(4096)
    heard(listening, b"WATCHDOG=1")


def test_the_state_in_short_names_what_keeps_starts_back() -> None:
    machine = Machine()
    machine.submit(profile(), CPU, *[profile()] * 4)
    assert in_short(machine.world) == "5 jobs run, 1 wait"
    machine.world.engine_down = "Docker is away"
    assert in_short(machine.world) == "5 jobs run, 1 wait; Docker is away"


def test_the_log_is_json_where_that_is_asked_and_carries_the_job(
    make_daemon: MakeDaemon, docker: Containers
) -> None:
    daemon = make_daemon(
        config='sweep_seconds = 0.2\norphan_grace_seconds = 0.5\nlog_format = "json"\n'
    )
    daemon.start()
    labels = {"launcher.job": "999", "launcher.attempt": "4"}
    labels["launcher.store"] = daemon.client.status().store
    docker.create("orphan", {"Image": BUSYBOX, "Cmd": ["true"], "Labels": labels})
    wait_until(lambda: docker.inspect("orphan") is None, what="the orphan is removed")
    daemon.stop()
    told = [json.loads(line) for line in daemon.log.read_text().splitlines()]
    assert {"time", "level", "logger", "message"} <= told[0].keys()
    (orphan,) = [one for one in told if "orphan" in one["message"]]
    assert (orphan["job"], orphan["attempt"], orphan["level"]) == (999, 4, "WARNING")


def test_a_daemon_that_leads_its_session_goes_before_jobs_in_other_sessions(
    daemon: DaemonProcess,
) -> None:
    assert daemon.process is not None
    place = Path(f"/proc/{daemon.process.pid}")
    assert os.getpriority(os.PRIO_PROCESS, daemon.process.pid) == -5
    if (place / "autogroup").exists():  # a kernel without it prefers by the nice value alone
        assert (place / "autogroup").read_text().split()[-2:] == ["nice", "-5"]
