"""``make bench-peers``: prints makespans and idle times of one run, asserted on nothing."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from pathlib import Path

from launcher.engine.connection import DockerConnection
from tests.benchmarks.peers import harness, namespaces, table
from tests.benchmarks.peers.gflow import Gflow
from tests.benchmarks.peers.hyperqueue import HyperQueue
from tests.benchmarks.peers.install import ROOT, install
from tests.benchmarks.peers.ours import Ours
from tests.benchmarks.peers.parallel import Parallel
from tests.benchmarks.peers.peer import Bench, Peer
from tests.benchmarks.peers.slurm import Slurm
from tests.benchmarks.peers.spooler import Spooler
from tests.benchmarks.peers.trace import JOB_MS, JOBS, SLOTS

PEERS: tuple[type[Peer], ...] = (Ours, Parallel, Spooler, HyperQueue, Slurm, Gflow)
ROUNDS = 5


def _machine(there: Bench) -> str:
    docker = DockerConnection(there.docker_host).version()["Version"]
    return (
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, Linux {platform.release()}, "
        f"Python {platform.python_version()}, Docker {docker}, load {os.getloadavg()[0]:.1f}; "
        f"{JOBS} jobs of {JOB_MS} ms on {SLOTS} slices, at best {JOBS * JOB_MS / SLOTS / 1000} s"
    )


def main() -> int:
    """Measure and print; the exit status says whether what is here could be measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.peers", description=__doc__)
    parser.add_argument("names", nargs="*", help="these queues only (ours always)")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--programs", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if not namespaces.inside():
        programs = install(ROOT / ".sandbox" / "peers")
        namespaces.enter("tests.benchmarks.peers", sys.argv[1:], programs)
    namespaces.settle()
    wanted = {name.lower() for name in asked.names}
    kinds = [kind for kind in PEERS if not wanted or kind is Ours or kind.name.lower() in wanted]
    with harness.bench(asked.programs) as (there, place):
        print(_machine(there), flush=True)
        measured = harness.measure(kinds, there, place, asked.rounds)
    found = [row for _, row in measured]
    print("\n".join(["", *table.lines(found), ""]))
    cannot = {kind.name: kind.cannot for kind, row in measured if row.makespans}
    print("\n".join(table.notes(found, cannot)))
    return int(any(row.why.startswith("failed") for row in found))


if __name__ == "__main__":
    sys.exit(main())
