"""How long a daemon's event loop is held up while a test burdens it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from launcher import Client
from launcher.fakegpu.build import compile_c
from tests.support.daemon import DaemonProcess
from tests.support.plain_work import plain_work

MOST_SECONDS = 0.05
"""No turn of the loop computes longer, or than five times some plain work on a slow machine. Time
that other programs take does not count."""
ANSWER_SECONDS = 0.1
"""So late at most ``status`` is answered on a machine that does nothing else."""
FULL = bool(os.environ.get("LAUNCHER_FULL_LAG"))
"""Whether the burdens have their full size: some minutes and gigabytes more, on an idle machine."""
_APART = multiprocessing.get_context("spawn")


@dataclass
class Figures:
    """Seconds: the loop's longest turn in processor time and in time, and how late answers came."""

    step: float = 0.0
    lag: float = 0.0
    answers: list[float] = field(default_factory=list)

    def ask(self, client: Client) -> None:
        """Ask for the status once."""
        began = time.monotonic()
        status = client.status()
        self.answers.append(time.monotonic() - began)
        self.step, self.lag = max(self.step, status.loop_step), max(self.lag, status.loop_lag)

    def __str__(self) -> str:
        ms = [1e3 * s for s in (self.step, self.lag, statistics.median(self.answers))]
        slowest = 1e3 * max(self.answers)
        return (
            f"longest turn {ms[0]:.0f} ms of its own, {ms[1]:.0f} ms in all; "
            f"status within {ms[2]:.0f} ms, at most {slowest:.0f} ms"
        )


@contextlib.contextmanager
def measured(daemon: DaemonProcess, what: str, tell: Callable[[object], None]) -> Iterator[Figures]:
    """Ask for the status all the while, as root; afterwards no turn may have been too long.

    Another process asks: this one has a lock of its own, and long answers to read.
    """
    found = Figures()
    here, there = _APART.Pipe()
    watch = _APART.Process(target=_watch, args=(str(daemon.socket), there), name="watch")
    watch.start()
    there.close()
    try:
        here.recv()
        yield found
    finally:
        here.send("over")
        found.step, found.lag, found.answers = here.recv()
        watch.join()
        here.close()
    tell(f"loop, {what}: {found}")
    assert found.step <= max(MOST_SECONDS, 5 * plain_work()), f"{what}: {found}"
    if FULL:
        assert max(found.answers) <= ANSWER_SECONDS, f"{what}: {found}"


def _watch(socket: str, told: Connection) -> None:
    """Ask five times a second until told to end; answers with the figures."""
    client, found = Client(socket), Figures()
    client.status()  # what a first request loads is not measured
    told.send("ready")
    while not told.poll(0.2):
        found.ask(client)
    found.ask(client)
    told.send((found.step, found.lag, found.answers))


def slow_nss(directory: Path) -> tuple[dict[str, str], Path]:
    """Build a slow name service; returns variables for a daemon, and the file of its seconds."""
    source, library = Path(__file__).with_name("slow_nss.c"), directory / "slow_nss.so"
    compile_c([source], library, ["-D_GNU_SOURCE", "-O1", "-fPIC", "-shared", "-Wall", "-Werror"])
    delay = directory / "seconds"
    return {"LD_PRELOAD": str(library), "SLOW_NSS": str(delay)}, delay
