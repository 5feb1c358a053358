"""A daemon on a real dockerd that is killed again and again, and what must be true afterwards."""

from __future__ import annotations

import base64
import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launcher.crashpoints import VARIABLE
from launcher.engine.connection import DockerConnection
from launcher.engine.containers import Containers
from launcher.errors import LauncherError
from launcher.fakegpu import Machine
from launcher.fakegpu.sandbox import Sandbox
from launcher.wire import (
    NOTE,
    STDOUT,
    GpuRequest,
    JobSpec,
    JobView,
    Retries,
    SignalBefore,
)
from tests.drills.checker import Start, Verdict, examine
from tests.support.daemon import BUSYBOX, DaemonProcess
from tests.support.wait import wait_until

SPEC = "A30:1g.6gb*4"
ONE = GpuRequest(kind="profile", profile="1g.6gb")
TWO = GpuRequest(kind="profile", profile="1g.6gb", count=2)
QUIET_SECONDS = 60.0
Step = Callable[["Drill"], None]


def job(*command: str, **fields: Any) -> JobSpec:
    """Return a busybox job on one slice."""
    asked: dict[str, Any] = {
        "name": "drill", "image": BUSYBOX, "gpus": ONE, "stop_grace_period": 1.0,
    }  # fmt: skip
    return JobSpec(command=list(command), **(asked | fields))


@dataclass
class Drill:
    """One daemon with a fake machine of its own, and what it promised."""

    sandbox: Sandbox
    place: Path
    acknowledged: dict[int, JobSpec] = field(default_factory=dict)
    recoveries: list[float] = field(default_factory=list)
    kills: int = 0
    codes: dict[int, int] = field(default_factory=dict)
    """Job id -> the exit code that it must have."""

    output: dict[int, bytes] = field(default_factory=dict)
    logs_compared: int = 0
    logs_differ: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    """Containers that were left when all was quiet."""

    spec: str = SPEC
    """The GPUs of its machine."""

    variables: dict[str, str] = field(default_factory=dict)
    """More variables of the daemon's environment."""

    def __post_init__(self) -> None:
        self.place.mkdir(parents=True, exist_ok=True)
        machine = Machine.create(self.place / "machine", self.spec)
        self.daemon = DaemonProcess(self.sandbox.docker_host, machine, self.place / "state")
        self.containers = Containers(DockerConnection(self.sandbox.docker_host))

    # its lives

    @property
    def alive(self) -> bool:
        process = self.daemon.process
        return process is not None and process.poll() is None

    def start(self, crash_at: str | None = None) -> None:
        """Start it; with ``crash_at`` it will end there by itself."""
        self.daemon.extra = self.variables | ({} if crash_at is None else {VARIABLE: crash_at})
        since = time.monotonic()
        self.daemon.start(wait=False)
        wait_until(lambda: not self.alive or self._schedules(), timeout=30, what="it schedules")
        if self.alive:
            self.recoveries.append(time.monotonic() - since)

    def _schedules(self) -> bool:
        with contextlib.suppress(LauncherError, AssertionError):
            problems = self.daemon.client.status().problems
            return not any("compares its records" in problem for problem in problems)
        return False

    def kill(self) -> None:
        """End it as a crash does."""
        self.daemon.kill()
        self.kills += 1

    def ensure_alive(self) -> None:
        """Start it again where it has died."""
        if not self.alive:
            self.kills += 1
            self.start()

    # what people do

    def submit(
        self, asked: JobSpec, code: int | None = None, output: bytes | None = None
    ) -> int | None:
        """Submit a job; returns its id if that was acknowledged.

        ``code`` and ``output`` are what it must end with and write, if nobody stops it.
        """
        try:
            (view,) = self.daemon.client.submit([asked])
        except LauncherError:
            return None
        self.acknowledged[view.id] = asked
        if code is not None:
            self.codes[view.id] = code
        if output is not None:
            self.output[view.id] = output
        return view.id

    def state_of(self, number: int) -> str | None:
        with contextlib.suppress(LauncherError):
            return self.daemon.client.show(str(number)).job.state
        return None

    def run(self, steps: Iterable[Step]) -> None:
        """Take the steps; a daemon that dies in between is started again."""
        for step in steps:
            with contextlib.suppress(LauncherError):
                step(self)
            self.ensure_alive()

    # the end

    def until_quiet(self) -> None:
        """Wait until no job is left, and no container of ours."""
        self.ensure_alive()
        store = self.daemon.client.status().store
        try:
            wait_until(self._no_job_is_left, timeout=QUIET_SECONDS)
        except AssertionError:
            raise AssertionError(
                f"not quiet: {self.what_is_left()}; {self.daemon.tail()}"
            ) from None
        with contextlib.suppress(AssertionError):  # the verdict says so
            wait_until(lambda: not self.containers.ours(store), timeout=QUIET_SECONDS)
        self.orphans = [found["Names"][0] for found in self.containers.ours(store)]

    def docker_was_there(self, job: JobView) -> bool:
        """Whether nothing happened to Docker while a job ran: what it lost then nobody has."""
        return True

    def compare_logs(self) -> None:
        """Compare what jobs wrote that ended by themselves with what is in their logs."""
        self.logs_compared, self.logs_differ = 0, []
        for number, expected in self.output.items():
            shown = self.daemon.client.show(str(number)).job
            told = number in self.codes and shown.exit_code == self.codes[number]
            if told and self.docker_was_there(shown):
                frames = list(self.daemon.client.logs(str(number)))
                written = b"".join(frame.data for frame in frames if frame.stream == STDOUT)
                self.logs_compared += 1
                if written != expected:
                    told = [frame.data.decode() for frame in frames if frame.stream == NOTE]
                    differs = (
                        f"job {number} wrote {expected!r}, its log: {written!r}; {told}; {shown}"
                    )
                    self.logs_differ.append(differs)

    def _no_job_is_left(self) -> bool:
        self.ensure_alive()  # it may have a point at which it dies before it
        with contextlib.suppress(LauncherError):
            counts = self.daemon.client.status().jobs
            return not any(counts.get(s) for s in ("PENDING", "STARTING", "RUNNING", "COMPLETING"))
        return False

    def what_is_left(self) -> list[str]:
        """Return the jobs that have not ended, and why, and what the daemon says of itself."""
        client = self.daemon.client
        jobs = [
            f"job {view.id} {view.state} {view.reason} {view.message}"
            for view in (client.show(str(number)).job for number in self.acknowledged)
            if view.outcome is None
        ]
        slices = [f"{s.uuid} {s.state} {s.why}" for s in client.slices() if s.state != "free"]
        return [*jobs, *slices, *client.status().problems]

    def left_over(self) -> list[str]:
        """Return what jobs left behind; the daemon still runs, and ``until_quiet`` has returned."""
        free = {s.state for s in self.daemon.client.slices()}
        left = [] if free == {"free"} else [f"the slices are {sorted(free)}"]
        left += [f"the container {name} is left" for name in self.orphans]
        kept = list((self.daemon.state / "secrets").glob("*/*"))
        return left + ([f"{len(kept)} files of secrets are left"] if kept else [])

    def verdict(self) -> list[str]:
        """Return what is wrong at the end; the daemon is stopped first."""
        wrong = self.left_over()
        self.compare_logs()
        wrong += self.logs_differ
        self.daemon.stop()
        return wrong + self.examine().wrong + self.wrong_codes()

    def examine(self) -> Verdict:
        """Have the history judged."""
        return examine(self.database, self.starts(), self.acknowledged)

    def wrong_codes(self) -> list[str]:
        """Return the jobs that ended with a code that is not theirs; LOST has no code."""
        wrong = []
        with self.rows("SELECT * FROM jobs") as rows:
            for row in rows:
                code = self.codes.get(row["id"], row["exit_code"])
                if row["exit_code"] != code and row["outcome"] != "LOST":
                    ran = f"attempt {row['attempt']}, {row['started_at']} to {row['ended_at']}"
                    ended = f"job {row['id']} ended with {row['exit_code']}, not {code}"
                    wrong.append(f"{ended} ({ran})")
        return wrong

    @property
    def database(self) -> Path:
        return self.daemon.state / "launcher.db"

    @contextlib.contextmanager
    def rows(self, query: str) -> Iterator[list[Any]]:
        db = sqlite3.connect(f"{self.database.absolute().as_uri()}?mode=ro", uri=True)
        db.row_factory = sqlite3.Row
        try:
            yield db.execute(query).fetchall()
        finally:
            db.close()

    def starts(self) -> list[Start]:
        """Return the hook's record of this daemon's containers."""
        with self.rows("SELECT container_id, container_name FROM attempts") as rows:
            names = {row["container_id"]: row["container_name"] for row in rows}
        return [
            (start.time_ns / 1e9, names[start.container], start.devices)
            for start in self.sandbox.hook.starts()
            if start.container in names
        ]

    def close(self) -> None:
        """End it, whatever it does."""
        self.daemon.close()


def wait_for_state(number: int | None, *states: str) -> Step:
    """Return a step that waits until a job is in one of these states, or the daemon is dead."""

    def step(drill: Drill) -> None:
        if number is not None:
            wait_until(
                lambda: not drill.alive or drill.state_of(number) in (*states, "DONE"), timeout=20
            )

    return step


def everything(drill: Drill, *, pull: str | None = None) -> None:
    """Have one job of each kind done, so that every crash point is passed."""
    drill.submit(job("sh", "-c", "echo one; sleep 0.2; echo two"), 0, b"one\ntwo\n")
    drill.ensure_alive()
    told = base64.b64encode(b"said\n").decode()
    script = "cat /run/secrets/word; exit 7"
    drill.submit(job("sh", "-c", script, gpus=TWO, secrets={"word": told}), 7, b"said\n")
    drill.ensure_alive()
    again = Retries(max=1, on=("any",))
    drill.submit(job("false", retries=again), 1)
    drill.ensure_alive()
    drill.submit(job("/no/such/program", gpus=GpuRequest()), 127)
    drill.ensure_alive()
    warned = SignalBefore(name="SIGUSR1", before=0.5)
    drill.submit(job("sh", "-c", "trap '' USR1; sleep 60", time_limit=1.0, signal=warned))
    drill.ensure_alive()
    if pull is not None:
        drill.submit(job("true", image=pull), 0)
        drill.ensure_alive()
    # Shorter than the wait for quiet: where its submit was not answered nobody cancels it.
    cancelled = drill.submit(job("sleep", "20"))
    drill.run([wait_for_state(cancelled, "RUNNING")])
    if cancelled is not None:
        drill.run([lambda d: d.daemon.client.cancel(str(cancelled)) and None])
