"""A real dockerd that ends, is killed or stands still, in each way in which machines are set up.

Whatever Docker then says of an end, a job is never completed that was not, and never failed with a
code that nobody returned: it has its true end, or is LOST.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from launcher.fakegpu.processes import with_argument
from launcher.fakegpu.sandbox import Sandbox
from launcher.wire import RetryRequest
from tests.drills.real import Drill, job, wait_for_state
from tests.support.daemon import BUSYBOX, CONFIG
from tests.support.wait import wait_until

TIMEOUT = "docker_timeout_seconds = 2\n"
COUNT = "i=0; while [ $i -lt {} ]; do echo $i; sleep 0.1; i=$((i+1)); done; exit {}"
LONG, SHORT = COUNT.format(60, 5), COUNT.format(10, 7)
"""Six seconds, and one."""


@dataclass(frozen=True)
class Setup:
    """How a machine's Docker is set up."""

    live_restore: bool
    own_containerd: bool

    def __str__(self) -> str:
        live = "live-restore" if self.live_restore else "no live-restore"
        return f"{live}, {'separate' if self.own_containerd else 'managed'} containerd"


SETUPS = [Setup(live, own) for live in (True, False) for own in (True, False)]
TRUE, LOST = "true end", "LOST"
Strike = Callable[[Sandbox, str], None]
"""What happens to a Docker; it is given the id of the short job's container."""
KNOWN = {
    # (setup, signal): what becomes of the long job, and of one that ends while dockerd is down
    (Setup(True, True), "KILL"): ({TRUE}, {TRUE}),
    (Setup(True, True), "TERM"): ({TRUE}, {TRUE}),
    (Setup(True, False), "KILL"): ({TRUE}, {TRUE, LOST}),
    (Setup(True, False), "TERM"): ({TRUE}, {TRUE, LOST}),
    (Setup(False, True), "KILL"): ({LOST}, {TRUE}),
    (Setup(False, True), "TERM"): ({LOST}, {LOST}),
    (Setup(False, False), "KILL"): ({LOST}, {TRUE, LOST}),
    (Setup(False, False), "TERM"): ({LOST}, {LOST}),
}


@dataclass
class Docker:
    """One machine's Docker and a daemon on it."""

    sandbox: Sandbox
    drill: Drill
    wrong: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def run(self, what: str, strike: Strike) -> dict[str, str]:
        """Have jobs running, let something happen to Docker; returns what became of each job."""
        drill = self.drill
        again = RetryRequest(max=1, on=["infra"])
        jobs = {
            "long": (drill.submit(job("sh", "-c", LONG)), 5),
            "short": (drill.submit(job("sh", "-c", SHORT)), 7),
            "again": (drill.submit(job("sh", "-c", LONG, retries=again)), 5),
        }
        for number, _ in jobs.values():
            wait_for_state(number, "RUNNING")(drill)
        short = drill.daemon.client.show(str(jobs["short"][0])).job.container_id
        strike(self.sandbox, short or "")
        drill.until_quiet()
        became = {}
        for name, (number, code) in jobs.items():
            shown = drill.daemon.client.show(str(number)).job
            became[name] = LOST if shown.outcome == "LOST" else f"{shown.outcome} {shown.exit_code}"
            if (shown.outcome, shown.exit_code) == ("FAILED", code):
                became[name] = TRUE
        if became["again"] != TRUE:
            self.wrong.append(f"{what}: a job that is retried for infra ended {became['again']}")
        return became

    def expect(self, what: str, name: str, became: dict[str, str], known: set[str]) -> None:
        if became[name] not in known:
            self.wrong.append(f"{what}: the {name} job is {became[name]}, not {sorted(known)}")


@contextlib.contextmanager
def docker(place: Path, setup: Setup) -> Iterator[Docker]:
    sandbox = Sandbox(
        place / "sandbox", live_restore=setup.live_restore, own_containerd=setup.own_containerd
    )
    drill = Drill(sandbox, place / "drill")
    try:
        sandbox.start()
        sandbox.import_busybox(BUSYBOX)
        drill.daemon.config.write_text(CONFIG + TIMEOUT)
        drill.start()
        yield Docker(sandbox, drill)
    finally:
        drill.close()
        sandbox.stop()


def down_for_a_while(how: signal.Signals) -> Strike:
    """Return what ends dockerd until the short job is over, and starts it again."""

    def strike(sandbox: Sandbox, short: str) -> None:
        starts = sandbox.hook.starts()
        sandbox.stop_dockerd(how)
        began = starts[-1].time_ns
        wait_until(lambda: time.time_ns() > began + 2.5e9, what="the short job is over")
        sandbox.start_dockerd()

    return strike


def around_a_restart(place: Path, setup: Setup, told: list[str]) -> list[str]:
    """Kill and end one machine's dockerd; returns what is wrong."""
    with docker(place, setup) as machine:
        for name in ("KILL", "TERM"):
            what = f"{setup}, SIG{name}"
            became = machine.run(what, down_for_a_while(signal.Signals[f"SIG{name}"]))
            long, short = KNOWN[setup, name]
            machine.expect(what, "long", became, long)
            machine.expect(what, "short", became, short)
            machine.told.append(f"{what}: {became}")
        told += machine.told
        return machine.wrong + [f"{setup}: {wrong}" for wrong in machine.drill.verdict()]


@pytest.mark.timeout(240)
def test_no_end_is_made_up_when_dockerd_ends_in_any_of_the_four_setups(
    tmp_path: Path, tell: Callable[[object], None]
) -> None:
    told: list[str] = []

    def restart(place: Path, setup: Setup) -> list[str]:
        return around_a_restart(place, setup, told)

    with ThreadPoolExecutor(len(SETUPS)) as pool:
        places = [tmp_path / str(number) for number in range(len(SETUPS))]
        wrong = [each for found in pool.map(restart, places, SETUPS) for each in found]
    tell("\n".join(sorted(told)))
    assert not wrong, "\n".join(wrong)


def stands_still(sandbox: Sandbox, short: str) -> None:
    """Let dockerd stand still for longer than a call may take."""
    pid = sandbox.pid("dockerd")
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    began = time.time_ns()
    try:
        wait_until(lambda: time.time_ns() > began + 4e9, what="calls have timed out")
    finally:
        os.kill(pid, signal.SIGCONT)


def containerd_is_killed(sandbox: Sandbox, short: str) -> None:
    sandbox.stop_containerd(signal.SIGKILL)
    sandbox.start_containerd()


def a_shim_is_killed(sandbox: Sandbox, short: str) -> None:
    """The one of the short job: containerd then kills the container, and 137 is how it ended."""
    (shim,) = with_argument(short)
    os.kill(shim, signal.SIGKILL)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("strike", [stands_still, containerd_is_killed, a_shim_is_killed])
def test_no_end_is_made_up_when_part_of_docker_fails(
    strike: Strike, tmp_path: Path, tell: Callable[[object], None]
) -> None:
    with docker(tmp_path, Setup(True, True)) as machine:
        became = machine.run(strike.__name__, strike)
        tell(f"{strike.__name__.replace('_', ' ')}: {became}")
        short = {"FAILED 137"} if strike is a_shim_is_killed else {TRUE, LOST}
        machine.expect(strike.__name__, "short", became, short)
        machine.expect(strike.__name__, "long", became, {TRUE})
        assert machine.wrong + machine.drill.verdict() == []
