"""Hostile users at their limits beside a normal one: what the normal user feels, and root."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from launcher import Client
from launcher.errors import TooMany
from launcher.fakegpu import Machine
from launcher.fakegpu.sandbox import Sandbox
from launcher.wire import GpuRequest, JobSpec
from tests.abuse.test_costly_requests import cost
from tests.support.daemon import BUSYBOX, DaemonProcess, as_user
from tests.support.wait import wait_until

NORMAL_UID = 20_000
"""Hostile users have the uids that follow; none has a name."""
PAUSE_SECONDS = 0.1
"""Between a normal user's rounds: they stay below the user's own limits."""
FLOOR_SECONDS = 0.01
"""A median below this is as good as none, whatever it is a multiple of."""
NONE = GpuRequest(kind="none")
HELD = JobSpec(name="normal", image=BUSYBOX, command=("true",), hold=True, gpus=NONE)
SLICE = GpuRequest(kind="profile", profile="1g.6gb")
LIMITED = JobSpec(
    name="limited", image=BUSYBOX, command=("sleep", "60"), gpus=SLICE, time_limit=5.0,
    stop_grace_period=1.0,
)  # fmt: skip
STUBBORN = JobSpec(
    name="stubborn", image=BUSYBOX, gpus=SLICE, stop_grace_period=300.0,
    command=("sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"),
)  # fmt: skip


@dataclass
class Felt:
    """What was measured: seconds of each request by its kind, and what must hold beside."""

    requests: dict[str, list[float]] = field(default_factory=dict)
    late: list[float] = field(default_factory=list)
    """How many seconds after its time limit each job ended."""
    cancels: list[float] = field(default_factory=list)
    """How many seconds root's cancels of jobs took that ignore their stop signal."""
    memory: float = 0.0

    def median(self, kind: str) -> float:
        """Return the median of a kind of request in seconds."""
        return statistics.median(self.requests[kind])

    @property
    def worst(self) -> float:
        """The slowest request of any kind in seconds."""
        return max(max(times) for times in self.requests.values())

    def broken(self, quiet: Felt, *, slack: float = 1.0) -> list[str]:
        """Return what did not hold that must hold beside hostile users.

        ``slack`` is by how much more everything may take where other work is done beside.
        """
        most = {k: max(slack * FLOOR_SECONDS, 3 * quiet.median(k)) for k in quiet.requests}
        slower = [kind for kind in most if self.median(kind) > most[kind]]
        found = [f"{kind} takes more than 3 times as long" for kind in slower]
        if self.worst > slack:
            found.append(f"a request took {self.worst:.2f} s")
        if max(self.late) > 2.0 * slack:
            found.append(f"a time limit was kept {max(self.late):.2f} s late")
        if max(self.cancels) > 2.0 * slack:
            found.append(f"root's cancel took {max(self.cancels):.2f} s")
        if self.memory >= 400:
            found.append(f"the daemon has {self.memory:.0f} MiB")
        return found

    def against(self, quiet: Felt) -> str:
        """Return it as one line, beside what was measured without hostile users."""
        kinds = ", ".join(
            f"{kind} {quiet.median(kind) * 1000:.1f} -> {self.median(kind) * 1000:.1f} ms"
            for kind in self.requests
        )
        return (
            f"{kinds}; worst {self.worst * 1000:.0f} ms (quiet {quiet.worst * 1000:.0f}); "
            f"limits late by {max(self.late, default=0.0):.2f} s at most, root's cancels "
            f"{max(self.cancels, default=0.0):.2f} s, {self.memory:.0f} MiB"
        )


@contextlib.contextmanager
def besieged(daemon: DaemonProcess, users: int, seed: int) -> Iterator[None]:
    """Have so many hostile users attack meanwhile, each with a process at the lowest weight."""
    script = str(Path(__file__).with_name("attacker.py"))
    with contextlib.ExitStack() as stack:
        for number in range(1, users + 1):
            uid = NORMAL_UID + number
            command = ["nice", "-n", "19", "setpriv", f"--reuid={uid}", f"--regid={uid}"]
            command += ["--clear-groups", "--inh-caps=-all,+dac_read_search"]
            command += ["--ambient-caps=-all,+dac_read_search", sys.executable, script]
            process = stack.enter_context(
                subprocess.Popen(
                    [*command, str(daemon.socket), str(seed + number)], stdout=subprocess.PIPE
                )
            )
            stack.callback(process.kill)
            assert process.stdout is not None
            assert process.stdout.readline() == b"on\n"
        yield


def sieges(
    sandbox: Sandbox, place: Path, seed: int, seconds: float, users: Iterable[int] = (1, 2, 10)
) -> Iterator[tuple[int, Felt, Felt]]:
    """Yield (hostile users, felt without them, felt beside them) of a daemon for each number."""
    for count in users:
        machine = Machine.create(place / f"machine-{count}", "A30:1g.6gb*4")
        daemon = DaemonProcess(sandbox.docker_host, machine, place / f"state-{count}").start()
        try:
            quiet = live(daemon, seconds / 4)
            with besieged(daemon, count, seed):
                loud = live(daemon, seconds)
            yield count, quiet, loud
        finally:
            daemon.close()


def live(daemon: DaemonProcess, seconds: float) -> Felt:
    """Live as a normal user for so many seconds; every request is on a warm connection."""
    felt = Felt()
    until = time.monotonic() + seconds
    client = Client(str(daemon.socket))
    with as_user(NORMAL_UID):
        limited, stubborn = (job.id for job in client.submit([LIMITED, STUBBORN]))
    pause = threading.Event()
    while time.monotonic() < until:
        pause.wait(PAUSE_SECONDS)
        with as_user(NORMAL_UID):
            _round(client, felt)
        felt.memory = max(felt.memory, cost(daemon)[1])
    daemon.until(daemon.client.show(str(stubborn)).job, "RUNNING")
    began = time.monotonic()
    daemon.client.cancel(stubborn)
    wait_until(lambda: daemon.client.show(str(stubborn)).job.outcome is not None, timeout=60)
    felt.cancels.append(time.monotonic() - began)
    felt.late.append(_late(daemon, limited))
    return felt


def _round(client: Client, felt: Felt) -> None:
    def timed(kind: str, call: Callable[[], object]) -> object:
        began = time.perf_counter()
        try:
            return call()
        finally:
            felt.requests.setdefault(kind, []).append(time.perf_counter() - began)

    with contextlib.suppress(TooMany):
        made = timed("submit", lambda: client.submit([HELD]))
        assert isinstance(made, list)
        job = made[0].id
        timed("list", client.head)
        timed("follow", lambda: next(iter(client.follow(job))))
        timed("cancel", lambda: client.cancel(job))


def _late(daemon: DaemonProcess, job: int) -> float:
    """Return how many seconds after its time limit a job ended."""
    ended = daemon.client.wait(str(job), timeout=60)
    assert ended.outcome == "TIMEOUT", ended
    assert ended.started_at is not None
    assert ended.ended_at is not None
    ran = datetime.fromisoformat(ended.ended_at) - datetime.fromisoformat(ended.started_at)
    return ran.total_seconds() - 5.0
