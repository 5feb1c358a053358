"""One user's flood, of every kind there is, and what another user feels of it."""

from __future__ import annotations

import contextlib
import pwd
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launcher import Client
from launcher.wire import GpuRequest, JobSpec
from tests.drills.flood import KINDS
from tests.support.daemon import BUSYBOX, LAUNCH, DaemonProcess, as_user
from tests.support.user import OrdinaryUser
from tests.support.wait import wait_until
from tests.support.whole import many

VICTIM = pwd.getpwnam("games")
COMMANDS, REQUESTS = many(5, 9), many(10, 30)
ROUNDS = 3
MOST, BESIDE_OTHERS = 2.0, 8.0
"""By so much the median of a command may be longer: on a machine that does nothing else, and on one
that does. A flood takes a core of two, whatever the daemon does."""
LOOK_SECONDS, IDLE = 0.5, 0.8
JOB = JobSpec(
    name="quiet", image=BUSYBOX, command=("true",), hold=True, gpus=GpuRequest(kind="none")
)


@pytest.fixture
def attacker() -> Iterator[OrdinaryUser]:
    user = OrdinaryUser()
    yield user
    user.close()


@contextlib.contextmanager
def flood(daemon: DaemonProcess, attacker: OrdinaryUser, kind: str) -> Iterator[None]:
    script = Path(__file__).with_name("flood.py")
    command = [*attacker.command(docker=False), sys.executable, str(script)]
    with subprocess.Popen(
        [*command, str(daemon.socket), kind],
        env=attacker.environment,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"on\n"
            begun = time.monotonic()
            wait_until(lambda: time.monotonic() - begun > 1, what="it is in full swing")
            yield
            assert process.poll() is None, "it went on to the end"
        finally:
            process.kill()


def median(times: int, each: Callable[[], object]) -> float:
    """Return how many seconds something takes."""
    taken = []
    for _ in range(times):
        before = time.perf_counter()
        each()
        taken.append(time.perf_counter() - before)
    return statistics.median(taken)


def look(daemon: DaemonProcess, file: Path) -> dict[str, float]:
    """Return how long the victim's commands and bare requests take, in seconds."""
    user = ["setpriv", f"--reuid={VICTIM.pw_uid}", f"--regid={VICTIM.pw_gid}", "--clear-groups"]
    reading = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]

    def command(*words: str) -> None:
        ran = subprocess.run(
            [*user, *reading, *LAUNCH, *words],
            env=daemon.environment,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr

    client = Client(str(daemon.socket))

    def request(each: Callable[[], object]) -> None:
        with as_user(VICTIM.pw_uid):
            each()

    return {
        "launch ps": median(COMMANDS, lambda: command("ps")),
        "launch submit": median(COMMANDS, lambda: command("submit", str(file))),
        "request head": median(REQUESTS, lambda: request(client.head)),
        "request submit": median(REQUESTS, lambda: request(lambda: client.submit([JOB]))),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_another_user_hardly_feels_a_flood(
    kind: str,
    daemon: DaemonProcess,
    attacker: OrdinaryUser,
    tmp_path: Path,
    tell: Callable[[object], None],
) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(f"image: {BUSYBOX}\nschedule: {{hold: true}}\n")
    rounds = []
    for _ in range(ROUNDS):
        most = MOST if idle() > IDLE else BESIDE_OTHERS
        quiet = look(daemon, file)
        with flood(daemon, attacker, kind):
            loud = look(daemon, file)
        worst = max(loud[what] / quiet[what] for what in ("launch ps", "launch submit"))
        rounds.append((worst / most, figures(quiet, loud)))
        if worst < most:
            break
    worst, told = min(rounds)
    tell(f"flood of {kind}: {told}")
    assert worst < 1, told
    assert daemon.client.status().state == "healthy"


def idle() -> float:
    """Return which part of the machine's time nobody uses just now."""

    def times() -> tuple[int, int]:
        found = [int(word) for word in Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
        return found[3] + found[4], sum(found)

    (idle, total), begun = times(), time.monotonic()
    wait_until(lambda: time.monotonic() - begun > LOOK_SECONDS, what="a while has passed")
    now_idle, now_total = times()
    return (now_idle - idle) / max(1, now_total - total)


def figures(quiet: dict[str, float], loud: dict[str, float]) -> str:
    return ", ".join(
        f"{what} {before * 1000:.1f} -> {loud[what] * 1000:.1f} ms ({loud[what] / before:.2f})"
        for what, before in quiet.items()
    )
