"""``make soak SECONDS=n``: everything that the drills have, for as long as one likes, with a seed.

A simulated machine lives through seed after seed, beside it two real daemons run jobs on a real
dockerd: one is killed again and again, as is Docker; the other is left alone, to see whether it
grows. Then hostile users besiege one, beside a normal user. Every crash point is passed once for
real, every call of Docker meets every fault, and databases are cut as a power loss cuts them. What
`make test` does in part is done whole: seeds, examples, drills.
Fails where a figure is not 0 that must be.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from random import Random

from launcher.crashpoints import POINTS
from launcher.fakegpu.sandbox import Sandbox
from tests.abuse.siege import sieges
from tests.drills import powerloss
from tests.drills.chaos import Beaten, Steady
from tests.drills.figures import Figures
from tests.simulation.seeds import ROOT, Total, run_everywhere, run_seeds
from tests.support.daemon import BUSYBOX

DRILLS = (
    "crashpoints", "faulty_docker", "dockerd", "broken_starts", "flood", "output", "output_fuzz",
)  # fmt: skip
PARTS = (
    "api_by_schema", "jobs_on_docker", "mig_parted_files", "pins", "pins_helper", "pins_secrets",
)  # fmt: skip
ONCE = (
    *(f"tests/drills/test_{what}.py" for what in DRILLS),
    *(f"tests/integration/test_{what}.py" for what in PARTS),
    "tests/acceptance/test_host_many.py",
    "tests/property",
)
"""Tests of which `make test` does a part: here at full length (``--whole``), once."""
MOST_SECONDS = 600
"""Whole they may take longer than what the suite allows a test."""
AT_ONCE = 200
"""So many seeds are simulated between two looks at the clock."""


def simulate(seed: int, until: float) -> Total:
    """Simulate seed after seed: first daemons cut off everywhere, then those that come after the
    ones of `make test`, then others."""
    total = run_everywhere(1, 3, processes=1)
    total.merge(run_everywhere(seed, seed + 2, processes=1))
    for first in itertools.chain(range(201, 1001, AT_ONCE), itertools.count(seed, AT_ONCE)):
        total.merge(run_seeds(first, first + AT_ONCE, processes=1))
        if time.monotonic() > until or total.wrong:
            break
    return total


def cut_power(seed: int, until: float) -> tuple[int, list[str]]:
    """Cut databases again and again, a tenth of the time."""
    tried = 0
    failed: list[str] = []
    while True:
        began = time.monotonic()
        cut = powerloss.drill(seed)
        tried += cut.cuts
        failed += [f"power loss, seed {seed}: {why}" for why in cut.failures]
        seed += 1
        pause = 9 * (time.monotonic() - began)
        if time.monotonic() + pause > until or failed:
            return tried, failed
        time.sleep(pause)


def pytest(*what: str) -> tuple[bool, str]:
    """Run tests at full length; returns whether they passed, and their output."""
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:randomly", "--whole"]
    command += [f"--timeout={MOST_SECONDS}", *what]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stdout


def soak(seconds: float, seed: int) -> Figures:
    """Run for about so many seconds; returns the figures."""
    figures = Figures(seed=seed, seconds=seconds)
    until = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as name, Sandbox(Path(name) / "sandbox") as sandbox:
        sandbox.import_busybox(BUSYBOX)
        beaten = Beaten(sandbox, Path(name) / "beaten", Random(seed))
        steady = Steady(sandbox, Path(name) / "steady", Random(seed + 1))
        # Apart: between fork and exec a child of ours would hold the locks of the stores it opens.
        apart = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        with ThreadPoolExecutor(4) as pool, apart:
            simulated = pool.submit(simulate, seed, until)
            cut = apart.submit(cut_power, seed, until)
            left_alone = pool.submit(steady.run, until)
            beaten.run(until)
            left_alone.result()
            figures.add_simulation(simulated.result())
            figures.cuts, figures.cuts_failed = cut.result()
        figures.add_beaten(beaten)
        figures.add_steady(steady)
        for users, quiet, loud in sieges(sandbox, Path(name), seed, max(10.0, seconds / 60)):
            figures.add_siege(users, quiet, loud)
    passed, output = pytest(*ONCE)
    figures.add_tests(passed, output, len(POINTS))
    return figures


def main() -> int:
    """Run the command line; 1 where something was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    asked = parser.parse_args()
    figures = soak(asked.seconds, asked.seed)
    print(figures)
    return 1 if figures.wrong or figures.cuts_failed else 0


if __name__ == "__main__":
    sys.exit(main())
