"""Many seeds, over processes: what each shows, added up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from launcher.core.world.lifecycle import TRANSITIONS
from launcher.crashpoints import POINTS
from tests.simulation.rehearsal import Crash, Rehearsal, Report
from tests.simulation.scenario import Scenario, calm_scenario, random_scenario

ROOT = Path(__file__).parents[2]
AGAIN = 20
"""Every so many-th seed is run twice: its trace must be the same."""


@dataclass
class Total:
    """The figures of many seeds. ``wrong``: by seed, what should not be."""

    seeds: int = 0
    hours: float = 0.0
    figures: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    points: Counter[str] = field(default_factory=Counter)
    pairs: set[tuple[str, str]] = field(default_factory=set)
    again: int = 0
    mismatches: int = 0
    wrong: dict[str, list[str]] = field(default_factory=dict)

    def add(self, report: Report, name: str = "") -> None:
        """Count a report in."""
        self.seeds += 1
        self.hours += report.hours
        self.figures += report.figures
        self.faults += report.faults
        self.points += report.points
        self.pairs |= report.pairs
        if report.wrong:
            self.wrong[name or str(report.seed)] = report.wrong

    def merge(self, other: Total) -> None:
        """Add another's figures."""
        self.seeds += other.seeds
        self.hours += other.hours
        self.figures += other.figures
        self.faults += other.faults
        self.points += other.points
        self.pairs |= other.pairs
        self.again += other.again
        self.mismatches += other.mismatches
        self.wrong |= other.wrong

    def dump(self) -> str:
        """Return it as JSON."""
        return json.dumps(self.__dict__ | {"pairs": sorted(self.pairs)})

    @classmethod
    def load(cls, text: str) -> Total:
        """Return what ``dump`` wrote."""
        told = json.loads(text)
        for name in ("figures", "faults", "points"):
            told[name] = Counter(told[name])
        told["pairs"] = {tuple(pair) for pair in told["pairs"]}
        return cls(**told)

    def rows(self) -> list[tuple[str, object]]:
        """Return what was done and what came of it, for people."""
        faults = ", ".join(f"{kind} {n}" for kind, n in sorted(self.faults.items()))
        possible = {(state.name, event.__name__) for state, event in TRANSITIONS}
        return [
            ("seeds", self.seeds),
            ("simulated hours", f"{self.hours:.0f}"),
            ("traces of a seed that differ", f"{self.mismatches} of {self.again}"),
            ("faults injected", f"{self.faults.total()} ({faults})"),
            ("simulated crashes", self.figures["crashes"]),
            ("invariant checks", self.figures["checks"]),
            ("(state, event) pairs", f"{len(self.pairs & possible)} of {len(possible)}"),
            ("simulated crash points", f"{len(set(self.points) & set(POINTS))} of {len(POINTS)}"),
            ("simulated jobs acknowledged", self.figures["acknowledged"]),
            ("simulated containers started", self.figures["starts"]),
            ("seeds with anything wrong", len(self.wrong)),
        ]

    def __str__(self) -> str:
        rows = self.rows()
        width = max(len(what) for what, _ in rows)
        lines = [f"{what:<{width}}  {figure}" for what, figure in rows]
        lines += [f"seed {seed}: {'; '.join(wrong)}" for seed, wrong in self.wrong.items()]
        return "\n".join(lines)


def rehearse(seed: int, *, keep: bool = False) -> tuple[Report, list[str]]:
    """Run one seed; returns its report, and its trace if it is to be kept."""
    run = Rehearsal(seed, random_scenario(Random(seed)), keep=keep)
    report = run.run()
    return report, run.lines or []


def here(first: int, end: int) -> Total:
    """Run seeds in this process."""
    total = Total()
    for seed in range(first, end):
        report, _ = rehearse(seed)
        total.add(report)
        if seed % AGAIN == 0:
            total.again += 1
            total.mismatches += rehearse(seed)[0].trace != report.trace
    return total


def everywhere(seed: int, every: int = 1) -> Total:
    """Run one scenario over and over: cut off at each point it passes, once in each run.

    With ``every`` only at each so many-th passing of a point, from its first one on.
    """
    total = Total()
    whole = Rehearsal(seed, calm(seed))
    report = whole.run()
    total.add(report, f"calm {seed}")
    for point, passed in sorted(report.points.items()):
        for at in range(1, passed + 1, every):
            cut = Rehearsal(seed, calm(seed), crash=Crash(at, point))
            total.add(cut.run(), f"calm {seed} cut at {point} {at}")
    return total


def calm(seed: int) -> Scenario:
    """Return a scenario in which nothing goes wrong by itself."""
    return calm_scenario(Random(seed))


def run_seeds(first: int, end: int, *, processes: int | None = None) -> Total:
    """Run seeds over processes of their own, with a fixed hash seed."""
    return in_processes("here", first, end, processes)


def run_everywhere(first: int, end: int, *, every: int = 1, processes: int | None = None) -> Total:
    """As ``everywhere``, for several scenarios."""
    return in_processes("everywhere", first, end, processes, str(every))


def in_processes(
    what: str, first: int, end: int, processes: int | None = None, *more: str
) -> Total:
    count = min(processes or os.cpu_count() or 1, end - first)
    edges = [first + (end - first) * i // count for i in range(count + 1)]
    command = [sys.executable, "-m", "tests.simulation.seeds", what]
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    running = [
        subprocess.Popen(
            [*command, str(a), str(b), *more],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for a, b in zip(edges, edges[1:], strict=False)  # noqa: RUF007
    ]
    total = Total()
    for process in running:
        out, _ = process.communicate()
        if process.returncode:
            raise AssertionError(f"{process.args} ended with {process.returncode}: {out[-2000:]}")
        total.merge(Total.load(out))
    return total


def trace(seed: int) -> list[str]:
    """Return what happened in one seed, and what was wrong; in a process with the hash seed."""
    command = [sys.executable, "-m", "tests.simulation.seeds", "trace", str(seed)]
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def main(what: str, *numbers: str) -> None:
    """Do what a parent process asks."""
    if what == "trace":
        report, lines = rehearse(int(numbers[0]), keep=True)
        print("\n".join([*lines, report.trace, *report.wrong]))
    elif what == "everywhere":
        total = Total()
        for seed in range(int(numbers[0]), int(numbers[1])):
            total.merge(everywhere(seed, int(numbers[2])))
        print(total.dump())
    else:
        print(here(int(numbers[0]), int(numbers[1])).dump())


if __name__ == "__main__":
    main(*sys.argv[1:])
