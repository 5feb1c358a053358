"""What jobs print: every byte once, live, whatever of the launcher and Docker dies meanwhile."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launcher.fakegpu import Machine
from launcher.fakegpu.sandbox import Sandbox
from launcher.wire import NOTE, STDERR, STDOUT, GpuRequest
from tests.support.daemon import BUSYBOX, LAUNCH, DaemonProcess
from tests.support.keepers import keeper_of
from tests.support.wait import wait_until
from tests.support.whole import many

WAIT = "until [ -e /tmp/go ]; do sleep 0.05; done"
NONE = GpuRequest(kind="none")
LINES = many(100_000, 400_000)
EXPECTED = b"".join(b"%d\n" % number for number in range(1, LINES + 1))
HALVES = f"trap 'touch /tmp/go' USR1; seq 1 {LINES // 2}; {WAIT}; seq {LINES // 2 + 1} {LINES}"


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def differences(data: bytes) -> str:
    """Say where output is not as expected, for whoever reads a failure."""
    if data == EXPECTED:
        return ""
    at = next(
        (n for n, pair in enumerate(zip(data, EXPECTED, strict=False)) if pair[0] != pair[1]),
        len(data),
    )
    return f"{len(data)} of {len(EXPECTED)} bytes, wrong from {at}: {data[at - 20 : at + 40]!r}"


class Reader:
    """``launch run`` of a loud job, its output read as it comes."""

    def __init__(self, daemon: DaemonProcess, script: str) -> None:
        command = [*LAUNCH, "run", "-q", "--gpus", "none", BUSYBOX, "--", "sh", "-c", script]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=daemon.environment
        )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self.data = bytearray()
        self.came_at = 0.0

    def has(self, count: int) -> bool:
        """Read what came; whether there are so many bytes."""
        assert self._process.stdout is not None
        while data := self._process.stdout.read(1 << 20):
            self.data += data
            self.came_at = time.time()
        return len(self.data) >= count

    def ends(self) -> tuple[int, str]:
        """Return the exit code and what was said on stderr."""
        wait_until(lambda: self.has(1 << 40) or self._process.poll() is not None, timeout=60)
        self.has(1 << 40)
        assert self._process.stderr is not None
        with self._process:
            said = self._process.stderr.read().decode()
        return self._process.returncode, said


@pytest.fixture
def own(docker_here: Sandbox, tmp_path: Path) -> Iterator[DaemonProcess]:
    """A daemon on a dockerd of this test's own."""
    machine = Machine.create(tmp_path / "machine", "A30:1g.6gb*4")
    daemon = DaemonProcess(docker_here.docker_host, machine, tmp_path / "state").start()
    yield daemon
    daemon.close()


def dockers_word(sandbox: Sandbox, *words: str) -> str:
    done = subprocess.run(
        ["docker", "-H", sandbox.docker_host, *words], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def let_go(sandbox: Sandbox) -> None:
    """Let the one running job go on; a dockerd whose containerd was killed needs a while."""
    (container,) = dockers_word(sandbox, "ps", "--quiet").split()
    command = ["docker", "-H", sandbox.docker_host, "kill", "--signal", "USR1", container]
    wait_until(lambda: subprocess.run(command, capture_output=True, check=False).returncode == 0)


def kill_keeper(daemon: DaemonProcess, sandbox: Sandbox) -> None:
    os.kill(keeper_of(daemon), signal.SIGKILL)


def kill_daemon(daemon: DaemonProcess, sandbox: Sandbox) -> None:
    daemon.kill()
    daemon.start()


def kill_both(daemon: DaemonProcess, sandbox: Sandbox) -> None:
    os.kill(keeper_of(daemon), signal.SIGKILL)
    kill_daemon(daemon, sandbox)


def kill_dockerd(daemon: DaemonProcess, sandbox: Sandbox) -> None:
    sandbox.stop_dockerd(signal.SIGKILL)
    sandbox.start_dockerd()


def end_dockerd(daemon: DaemonProcess, sandbox: Sandbox) -> None:
    sandbox.stop_dockerd(signal.SIGTERM)
    sandbox.start_dockerd()


def kill_containerd(daemon: DaemonProcess, sandbox: Sandbox) -> None:
    sandbox.stop_containerd(signal.SIGKILL)
    sandbox.start_containerd()


@pytest.mark.parametrize(
    "kill", [kill_keeper, kill_daemon, kill_both, kill_dockerd, end_dockerd, kill_containerd]
)
def test_a_kill_in_the_middle_of_a_job_costs_no_byte_and_repeats_none(
    own: DaemonProcess, docker_here: Sandbox, kill: Callable[[DaemonProcess, Sandbox], None]
) -> None:
    reader = Reader(own, HALVES)
    half = len(b"".join(b"%d\n" % number for number in range(1, LINES // 2 + 1)))
    wait_until(lambda: reader.has(half), timeout=60)
    kill(own, docker_here)
    let_go(docker_here)
    code, said = reader.ends()
    assert code == 0, own.tail()
    assert differences(bytes(reader.data)) == ""
    frames = list(own.client.logs("last"))
    assert b"".join(frame.data for frame in frames if frame.stream == STDOUT) == EXPECTED
    notes = [frame.data.decode() for frame in frames if frame.stream == NOTE]
    if kill in (kill_dockerd, end_dockerd):  # what was on its way through it is lost, if any was
        assert all("may be missing here" in note for note in notes)
        assert len(notes) <= 1
    else:
        assert notes == []
    assert all(note in said for note in notes)


def test_a_daemon_that_stands_still_stops_no_job_and_costs_no_output(
    daemon: DaemonProcess, sandbox: Sandbox
) -> None:
    """An attached stream that nobody reads stops the job before 32 MiB."""
    count = 6_000_000
    job = daemon.submit("sh", "-c", f"seq 1 {count}", gpus=NONE)
    wait_until(lambda: daemon.state_of(job) == "RUNNING" or daemon.client.show(job.id).job.outcome)
    container = daemon.client.show(job.id).job.container_id
    assert container is not None
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        wait_until(
            lambda: (
                dockers_word(sandbox, "inspect", "-f", "{{.State.Status}}", container) == "exited"
            ),
            timeout=60,
        )
    finally:
        daemon.process.send_signal(signal.SIGCONT)
    assert daemon.done(job).outcome == "COMPLETED"
    lines = daemon.output(job).splitlines()
    assert (len(lines), lines[0], lines[-1]) == (count, b"1", b"%d" % count)


def test_text_without_a_newline_comes_at_once(daemon: DaemonProcess) -> None:
    script = f"printf '\\r10%%'; {WAIT}; printf '\\r100%%'; sleep 60"
    reader = Reader(daemon, script)
    wait_until(lambda: bytes(reader.data) == b"\r10%" or reader.has(4))
    (job,) = daemon.client.jobs()
    dockers_word_of = ["docker", "-H", daemon.docker_host, "exec", str(job.container_id)]
    subprocess.run([*dockers_word_of, "touch", "/tmp/go"], check=True)
    wait_until(lambda: reader.has(9))
    assert bytes(reader.data) == b"\r10%\r100%"
    daemon.client.cancel(job.id, now=True)
    assert reader.ends()[0] == 130


def test_four_loud_jobs_at_once_lose_nothing(daemon: DaemonProcess) -> None:
    readers = [Reader(daemon, f"seq 1 {LINES}; echo err >&2") for _ in range(4)]
    for reader in readers:
        code, said = reader.ends()
        assert (code, said) == (0, "err\n")
        assert md5(bytes(reader.data)) == md5(EXPECTED)


def test_logs_of_a_time_are_what_was_printed_in_it(daemon: DaemonProcess) -> None:
    job = daemon.submit(
        "sh", "-c", "echo one; sleep 0.3; echo two >&2; sleep 0.3; echo three", gpus=NONE
    )
    daemon.done(job)
    frames = list(daemon.client.logs(job.id))
    assert [frame.data for frame in frames] == [b"one\n", b"two\n", b"three\n"]
    middle = frames[1].time_ns
    got = daemon.client.logs(job.id, since_ns=middle, until_ns=frames[2].time_ns)
    assert [(frame.stream, frame.data) for frame in got] == [(STDERR, b"two\n")]
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(frames[0].time_ns / 1e9 - 2))
    assert daemon.cli("logs", "--since", moment, str(job.id)).stdout == "one\nthree\n"
    assert daemon.cli("logs", "--until", moment, str(job.id)).stdout == ""
    assert daemon.cli("logs", "--since", "1h", str(job.id)).stderr == "two\n"
    assert "is not a valid time" in daemon.cli("logs", "--since", "soon", str(job.id)).stderr
