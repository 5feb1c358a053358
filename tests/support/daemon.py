"""A real daemon process on a real dockerd and a fake GPU, as tests want it."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from launcher import Client
from launcher.errors import LauncherError
from launcher.fakegpu import Machine
from launcher.wire import BlockerView, Frame, GpuRequest, JobSpec, JobView
from tests.support.machines import compiled
from tests.support.nursery import Nursery, Process
from tests.support.user import may_read_all
from tests.support.wait import wait_until

BUSYBOX = "launcher/busybox:latest"
LAUNCH = [sys.executable, "-m", "launcher"]
CONFIG = """\
inventory_seconds = 1.0
sweep_seconds = 1.0
orphan_grace_seconds = 2.0
policy.images = ["*"]
"""


class DaemonProcess:
    """``launch serve`` in a directory of its own; killed and started again at will."""

    nursery: Nursery | None = None
    """Where daemons are forked from; None: each is the command itself."""

    def __init__(
        self, docker_host: str, machine: Machine, state: Path, *, config: str = CONFIG
    ) -> None:
        self.docker_host, self.machine, self.state = docker_host, compiled(machine), state
        # A socket's path has at most 107 bytes: not below pytest's own directories.
        self.place = Path(tempfile.mkdtemp(prefix="launcher-"))
        self.place.chmod(0o755)
        self.socket = self.place / "l.sock"
        self.config = self.place / "launcher.toml"
        self.config.write_text(config)
        self.log = self.place / "daemon.log"
        self.process: Process | None = None
        self.client = Client(str(self.socket))
        self._published = False
        self.extra: dict[str, str] = {}
        """Variables of the daemon's own environment."""
        self.words: list[str] = []
        """More words of its command line."""
        self.enter: list[str] = []
        """Words before its command, such as those that enter a namespace; it is not forked then."""
        self.gpu_words = ["--fake-gpu", str(machine.directory)]

    @property
    def environment(self) -> dict[str, str]:
        """What the installed command needs to find this daemon and no other."""
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("LAUNCHER_", "DOCKER_"))}
        return keep | {"LAUNCHER_SOCKET": str(self.socket), "LAUNCHER_AUTOSTART": "0"}

    def start(self, *, wait: bool = True) -> DaemonProcess:
        """Start it; returns once it answers."""
        words = ["serve", "--state-dir", str(self.state), "--config", str(self.config)]
        words += ["--docker-host", self.docker_host, *self.gpu_words, *self.words]
        environment = self.environment | self.extra
        with self.log.open("ab") as log:
            if self.nursery is not None and not self.enter:
                self.process = self.nursery.spawn(words, environment, log.fileno())
            else:
                self.process = subprocess.Popen(
                    [*self.enter, *LAUNCH, *words],
                    stdout=log,
                    stderr=log,
                    env=environment,
                    start_new_session=True,
                )
        if wait:
            wait_until(self.answers, timeout=20, what=f"the daemon answers; {self.tail()}")
            self._publish_once()
        return self

    def _publish_once(self) -> None:
        """Make the image of most tests everybody's, where Docker is there."""
        if not self._published:
            with contextlib.suppress(LauncherError):
                self._published = bool(self.client.publish([BUSYBOX]))

    def answers(self) -> bool:
        """Whether it answers and schedules; fails at once where it has ended."""
        assert self.process is not None
        assert self.process.poll() is None, f"the daemon ended: {self.tail()}"
        try:
            problems = self.client.status().problems
        except LauncherError:
            return False
        return not any("compares its records" in problem for problem in problems)

    def tail(self) -> str:
        """Return the end of its log."""
        return self.log.read_text()[-3000:] if self.log.exists() else ""

    def kill(self) -> None:
        """End it as a crash does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """End it in order; returns its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def close(self) -> None:
        """End it and remove its directory."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.place, ignore_errors=True)

    def cli(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run the installed command against this daemon."""
        return subprocess.run(
            [*LAUNCH, *words],
            env=self.environment | options.pop("env", {}),
            capture_output=True,
            text=True,
            timeout=options.pop("timeout", 60),
            check=False,
            **options,
        )

    def submit(self, *command: str, **fields: Any) -> JobView:
        """Queue one busybox job; on one 1g.6gb slice unless ``gpus`` says otherwise."""
        gpus = fields.pop("gpus", GpuRequest(kind="profile", profile="1g.6gb"))
        fields = {"name": "test", "image": BUSYBOX, "stop_grace_period": 1.0} | fields
        (job,) = self.client.submit([JobSpec(command=list(command), gpus=gpus, **fields)])
        return job

    def done(self, job: JobView, timeout: float = 30) -> JobView:
        """Wait until a job's outcome is set and return it."""
        found = self.client.wait(str(job.id), timeout=timeout)
        assert found.outcome is not None, f"{found}; {self.tail()}"
        return found

    def state_of(self, job: JobView) -> str:
        """Return a job's state now."""
        return self.client.show(str(job.id)).job.state

    def until(self, job: JobView, state: str) -> JobView:
        """Wait until a job is in a state."""
        what = f"job {job.id} is {state}"
        wait_until(lambda: self.state_of(job) == state, timeout=20, what=what)
        return self.client.show(str(job.id)).job

    def blocker_of(self, job: JobView) -> BlockerView:
        """Return the one blocker of a job that waits, once its image has been found."""

        def rest() -> list[BlockerView]:
            found = self.client.show(str(job.id)).blockers
            return [] if any(blocker.kind == "ImagePull" for blocker in found) else list(found)

        (blocker,) = wait_until(rest, what=f"job {job.id} waits for something else than its image")
        return blocker

    def output(self, job: JobView, stream: int = 1) -> bytes:
        """Return what an ended job wrote."""
        frames: list[Frame] = list(self.client.logs(str(job.id), follow=True))
        return b"".join(f.data for f in frames if f.stream == stream)


@contextlib.contextmanager
def as_user(uid: int, gid: int | None = None, *, reading: bool = True) -> Iterator[None]:
    """Connect as another user: the kernel reports the effective uid at connect().

    ``gid`` is another group than the user's own, as sg(1) has it. With ``reading`` files are read
    as root reads them: what is imported meanwhile may be below a home that is closed to the user.
    """
    before = os.getegid()
    if gid is None:
        try:
            gid = pwd.getpwuid(uid).pw_gid
        except KeyError:
            gid = uid
    os.setegid(gid)
    os.seteuid(uid)
    try:
        if reading:
            may_read_all()
        yield
    finally:
        os.seteuid(0)
        os.setegid(before)
