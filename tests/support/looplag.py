"""How long a daemon's event loop is held up while a test burdens it."""

from __future__ import annotations

import contextlib
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from launcher import Client
from launcher.fakegpu.build import compile_c
from tests.support.daemon import DaemonProcess
from tests.support.plain_work import plain_work

MOST_SECONDS = 0.05
"""No turn of the loop computes longer, or than five times some plain work on a slow machine. Time
that other programs take does not count."""
FULL = bool(os.environ.get("LAUNCHER_FULL_LAG"))
"""Whether the burdens have their full size: some minutes and gigabytes more."""


@dataclass
class Figures:
    """Seconds: the loop's longest turn in processor time and in time, and how late answers came."""

    step: float = 0.0
    lag: float = 0.0
    answers: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        ms = [1e3 * s for s in (self.step, self.lag, statistics.median(self.answers))]
        slowest = 1e3 * max(self.answers)
        return (
            f"longest turn {ms[0]:.0f} ms of its own, {ms[1]:.0f} ms in all; "
            f"status within {ms[2]:.0f} ms, at most {slowest:.0f} ms"
        )


@contextlib.contextmanager
def measured(daemon: DaemonProcess, what: str, tell: Callable[[object], None]) -> Iterator[Figures]:
    """Ask for the status all the while, as root; afterwards no turn may have been too long."""
    found, over = Figures(), threading.Event()
    client = Client(str(daemon.socket))
    client.status()  # what a first request loads is not measured

    def ask() -> None:
        began = time.monotonic()
        status = client.status()
        found.answers.append(time.monotonic() - began)
        found.step, found.lag = max(found.step, status.loop_step), max(found.lag, status.loop_lag)

    def watch() -> None:
        while not over.wait(0.2):
            ask()

    thread = threading.Thread(target=watch, name="watch")
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()
    ask()
    tell(f"loop, {what}: {found}")
    assert found.step <= max(MOST_SECONDS, 5 * plain_work()), f"{what}: {found}"


def slow_nss(directory: Path) -> tuple[dict[str, str], Path]:
    """Build a slow name service; returns variables for a daemon, and the file of its seconds."""
    source, library = Path(__file__).with_name("slow_nss.c"), directory / "slow_nss.so"
    compile_c([source], library, ["-D_GNU_SOURCE", "-O1", "-fPIC", "-shared", "-Wall", "-Werror"])
    delay = directory / "seconds"
    return {"LD_PRELOAD": str(library), "SLOW_NSS": str(delay)}, delay
