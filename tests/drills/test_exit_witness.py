"""Ends that the kernel tells while Docker is away: exit codes, times, OOM kills."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher import pidfd
from launcher.fakegpu import Machine
from launcher.fakegpu.sandbox import Sandbox
from launcher.wire import JobView
from tests.support.daemon import CONFIG, DaemonProcess
from tests.support.wait import wait_until

MakeOwn = Callable[[str], DaemonProcess]
ENDS = {0: "COMPLETED", 5: "FAILED", 255: "FAILED"}


@pytest.fixture
def make_own(docker_here: Sandbox, tmp_path: Path) -> Iterator[MakeOwn]:
    made: list[DaemonProcess] = []

    def make(config: str) -> DaemonProcess:
        machine = Machine.create(tmp_path / "machine", "A30:1g.6gb*4")
        state = tmp_path / "state"
        made.append(DaemonProcess(docker_here.docker_host, machine, state, config=CONFIG + config))
        return made[-1].start()

    yield make
    for daemon in made:
        daemon.close()


def waiting(daemon: DaemonProcess) -> dict[int, JobView]:
    """Start a job for each exit code, which ends when a file is there."""
    script = "until [ -e /go/go ]; do sleep 0.05; done; exit {}"
    jobs = {code: daemon.submit("sh", "-c", script.format(code)) for code in ENDS}
    return {code: daemon.until(job, "RUNNING") for code, job in jobs.items()}


def end_all(jobs: dict[int, JobView]) -> None:
    """Let them end, without Docker: through the init's view of its files."""
    for job in jobs.values():
        pid = pid_of(job)
        (Path("/proc") / str(pid) / "root" / "go").mkdir(exist_ok=True)
        (Path("/proc") / str(pid) / "root" / "go" / "go").touch()
    wait_until(lambda: all(pid_of(job) is None for job in jobs.values()), what="all have ended")


def pid_of(job: JobView) -> int | None:
    """Return the pid of a job's init, by its cgroup; None once it has ended."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                groups = (entry / "cgroup").read_text()
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(job.container_id) in groups and b"docker-init" in command:
                return int(entry.name)
    return None


def must_end_as_they_did(
    daemon: DaemonProcess, jobs: dict[int, JobView], timeout: float = 60
) -> None:
    ended = {code: daemon.done(job, timeout=timeout) for code, job in jobs.items()}
    told = {code: (job.outcome, job.exit_code) for code, job in ended.items()}
    if pidfd.kernel_tells():
        assert told == {code: (outcome, code) for code, outcome in ENDS.items()}, daemon.tail()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_jobs_that_end_while_docker_is_away_end_as_they_did(
    make_own: MakeOwn, docker_here: Sandbox, how: signal.Signals
) -> None:
    daemon = make_own("")
    jobs = waiting(daemon)
    docker_here.stop_dockerd(how)
    end_all(jobs)
    docker_here.start_dockerd()
    must_end_as_they_did(daemon, jobs)
    wait_until(lambda: all(s.state == "free" for s in daemon.client.slices()), timeout=60)


def test_without_the_kernels_status_no_code_is_wrong(
    make_own: MakeOwn, docker_here: Sandbox
) -> None:
    daemon = make_own("kernel_exit_status = false\n")
    jobs = waiting(daemon)
    docker_here.stop_dockerd(signal.SIGKILL)
    end_all(jobs)
    docker_here.start_dockerd()
    for code, job in jobs.items():
        ended = daemon.done(job, timeout=60)
        assert (ended.outcome, ended.exit_code) in ((ENDS[code], code), ("LOST", None))


def test_jobs_that_end_while_containerd_is_away_end_as_they_did(
    make_own: MakeOwn, docker_here: Sandbox
) -> None:
    daemon = make_own("")
    jobs = waiting(daemon)
    docker_here.stop_containerd(signal.SIGKILL)
    end_all(jobs)
    docker_here.start_containerd()
    must_end_as_they_did(daemon, jobs, timeout=90)


class Store:
    """What systemd's notify socket and file descriptor store do (sd_notify(3))."""

    def __init__(self, place: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(place))
        self._socket.settimeout(0.05)
        self.address = str(place)
        self.kept: dict[str, int] = {}

    def take(self) -> dict[str, int]:
        """Take what came; returns what is kept."""
        with contextlib.suppress(TimeoutError):
            while True:
                message, files, _, _ = socket.recv_fds(self._socket, 4096, 4)
                fields = dict(line.split("=", 1) for line in message.decode().splitlines())
                if fields.get("FDSTORE") == "1":
                    assert fields["FDPOLL"] == "0"
                    self.kept[fields["FDNAME"]] = files[0]
                elif fields.get("FDSTOREREMOVE") == "1":
                    os.close(self.kept.pop(fields["FDNAME"]))
        return self.kept

    def pass_on(self, command: list[str]) -> tuple[list[str], list[int]]:
        """Return a command that gets what is kept as a service does, and what it inherits."""
        script = (
            "import os, sys; fds = [int(fd) for fd in sys.argv[1].split(',')];"
            "free = max(fds) + 1; [os.dup2(fd, free + n) for n, fd in enumerate(fds)];"
            "[os.dup2(free + n, 3 + n, inheritable=True) for n in range(len(fds))];"
            "os.environ |= {'LISTEN_FDS': str(len(fds)), 'LISTEN_PID': str(os.getpid()),"
            " 'LISTEN_FDNAMES': sys.argv[2]};"
            "os.execv(sys.argv[3], sys.argv[3:])"
        )
        fds = list(self.kept.values())
        words = [",".join(map(str, fds)), ":".join(self.kept)]
        return [sys.executable, "-c", script, *words, *command], fds

    def close(self) -> None:
        self._socket.close()
        for fd in self.kept.values():
            os.close(fd)


@pytest.fixture
def store() -> Iterator[Store]:
    place = tempfile.mkdtemp(prefix="notify-")
    made = Store(Path(place) / "n")
    yield made
    made.close()
    shutil.rmtree(place)


def test_ends_while_the_daemon_was_down_are_told_where_systemd_kept_its_pidfds(
    make_own: MakeOwn, docker_here: Sandbox, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = make_own("")
    daemon.stop()
    daemon.nursery = None  # what systemd passes, it passes to the command
    daemon.extra = {"NOTIFY_SOCKET": store.address}
    daemon.start()
    jobs = waiting(daemon)
    wait_until(lambda: len(store.take()) == len(ENDS), what="systemd has all pidfds")
    daemon.kill()
    docker_here.stop_dockerd(signal.SIGKILL)
    end_all(jobs)
    docker_here.start_dockerd()
    popen = subprocess.Popen

    def passing(command: list[str], **options: Any) -> Any:
        command, fds = store.pass_on(command)
        return popen(command, pass_fds=fds, **options)

    with monkeypatch.context() as during:
        during.setattr("tests.support.daemon.subprocess.Popen", passing)
        daemon.start()
    must_end_as_they_did(daemon, jobs)
    wait_until(lambda: store.take() == {}, timeout=30, what="nothing stays in systemd's store")
