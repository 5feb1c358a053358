"""Two daemons under load on one dockerd: one is killed all the time, as is Docker, one is not."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from launcher.core.model.job import wall_of
from launcher.crashpoints import POINTS
from launcher.errors import LauncherError
from launcher.fakegpu.sandbox import Sandbox
from launcher.wire import GpuRequest, JobSpec, JobView, Retries
from tests.drills.real import ONE, TWO, Drill, job
from tests.support.daemon import CONFIG
from tests.support.wait import wait_until

LIVE_JOBS = 8
SLACK = 2.0
TIMEOUT = "docker_timeout_seconds = 3\n"


def random_job(rng: Random) -> tuple[JobSpec, int, bytes]:
    """Return a job, and the code and output that it must have if nobody cancels it."""
    code = rng.choice([0, 0, 0, 1, 7, 42])
    lines, nap = rng.choice([(1, 0.0), (5, 0.1), (20, 0.2)])
    loop = f"i=0; while [ $i -lt {lines} ]; do echo $i; sleep {nap}; i=$((i+1)); done"
    script = f"{loop}; exit {code}"
    infra = Retries(max=3, on=("infra",))
    return job(
        "sh", "-c", script,
        gpus=rng.choice([ONE, ONE, ONE, TWO, GpuRequest()]),
        **({"retries": infra} if rng.random() < 0.3 else {}),
    ), code, b"".join(b"%d\n" % i for i in range(lines))  # fmt: skip


@dataclass
class Process:
    """How large a process is: MiB, threads, file descriptors."""

    mib: float
    threads: int
    files: int

    @classmethod
    def of(cls, pid: int) -> Process:
        """Return how large it is now."""
        status = Path(f"/proc/{pid}/status").read_text()
        found = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        files = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
        return cls(int(found["VmRSS"].split()[0]) / 1024, int(found["Threads"]), files)

    def __str__(self) -> str:
        return f"{self.mib:.0f} MiB, {self.threads} threads, {self.files} files"


class Beaten(Drill):
    """A daemon with jobs, and everything that ends it or its Docker."""

    def __init__(self, sandbox: Sandbox, place: Path, rng: Random) -> None:
        super().__init__(sandbox, place)
        self.rng = rng
        self.struck: Counter[str] = Counter()
        self.unquiet: list[str] = []
        """Why it was not quiet at the end."""
        self.docker_struck: list[tuple[float, float]] = []
        """Wall times between which something happened to Docker."""
        self.daemon.config.write_text(CONFIG + TIMEOUT)

    def run(self, until: float) -> None:  # type: ignore[override]
        """Strike again and again until that time, then wait until all is quiet."""
        self.start()
        while time.monotonic() < until:
            pause = time.monotonic() + self.rng.uniform(0.5, 6.0)
            while time.monotonic() < pause:
                self.load()
                self._cancel_one()
            strike = self.rng.choices(
                [self._kill, self._crash, self._dockerd, self._stand_still, self._containerd],
                [6, 4, 2, 1, 1],
            )[0]
            began = time.time()
            strike()
            if strike not in (self._kill, self._crash):
                self.docker_struck.append((began - SLACK, time.time() + SLACK))
            self.struck[strike.__name__.lstrip("_")] += 1
        try:
            self.until_quiet()
        except AssertionError as failed:
            self.unquiet.append(str(failed))
        self.compare_logs()

    def load(self) -> None:
        """Keep some jobs alive."""
        self.ensure_alive()
        with contextlib.suppress(LauncherError):
            counts = self.daemon.client.status().jobs
            live = sum(counts.get(state, 0) for state in ("PENDING", "STARTING", "RUNNING"))
            if live < LIVE_JOBS:
                self.submit(*random_job(self.rng))
                return
        since = time.monotonic()
        wait_until(lambda: time.monotonic() - since > 0.1)

    def _cancel_one(self) -> None:
        if self.acknowledged and self.rng.random() < 0.05:
            number = max(self.acknowledged)
            self.codes.pop(number, None)
            with contextlib.suppress(LauncherError):
                self.daemon.client.cancel(str(number))

    def docker_was_there(self, job: JobView) -> bool:
        began, ended = wall_of(job.started_at), wall_of(job.ended_at)
        return (
            began is not None
            and ended is not None
            and not any(since < ended and began < until for since, until in self.docker_struck)
        )

    def _kill(self) -> None:
        if self.alive:
            self.kill()
        self.start()

    def _crash(self) -> None:
        """Let it die at one of the points, whenever it comes by."""
        if self.alive:
            self.kill()
        point = self.rng.choice(POINTS)
        self.start(f"{point}#{self.rng.randint(1, 5)}")

    def _dockerd(self) -> None:
        self.sandbox.stop_dockerd(self.rng.choice([signal.SIGKILL, signal.SIGTERM]))
        since = time.monotonic()
        pause = self.rng.uniform(0.1, 3.0)
        wait_until(lambda: time.monotonic() - since > pause)
        self.sandbox.start_dockerd()

    def _stand_still(self) -> None:
        pid = self.sandbox.pid("dockerd")
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        since = time.monotonic()
        pause = self.rng.uniform(0.5, 6.0)
        wait_until(lambda: time.monotonic() - since > pause)
        os.kill(pid, signal.SIGCONT)

    def _containerd(self) -> None:
        self.sandbox.stop_containerd(signal.SIGKILL)
        self.sandbox.start_containerd()


@dataclass
class Steady:
    """A daemon that nobody touches: it must not grow."""

    sandbox: Sandbox
    place: Path
    rng: Random
    before: Process | None = None
    after: Process | None = None
    drill: Drill = field(init=False)

    def run(self, until: float) -> None:
        """Run jobs until that time; its size is taken after some, and at the end."""
        self.drill = Drill(self.sandbox, self.place)
        self.drill.daemon.config.write_text(CONFIG + TIMEOUT)
        self.drill.start()
        self._jobs(20)
        self.before = self._size()
        while time.monotonic() < until:
            self._jobs(4)
        self.drill.until_quiet()
        self.after = self._size()

    def _jobs(self, count: int) -> None:
        """Have some jobs done; Docker may go away meanwhile."""
        made = [self.drill.submit(*random_job(self.rng)) for _ in range(count)]
        for number in made:
            wait_until(self._ended(number), timeout=120, what=f"job {number} has ended")

    def _ended(self, number: int | None) -> Callable[[], bool]:
        return lambda: number is None or self.drill.state_of(number) in ("DONE", "COMPLETING")

    def _size(self) -> Process:
        process = self.drill.daemon.process
        assert process is not None
        assert process.poll() is None, f"the daemon ended: {self.drill.daemon.tail()}"
        return Process.of(process.pid)
