"""The figures of a soak: what was done, and what must be 0."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.drills.matrix import job_cells, machine_cells

if TYPE_CHECKING:
    from tests.abuse.siege import Felt
    from tests.drills.chaos import Beaten, Steady
    from tests.drills.checker import Verdict
    from tests.simulation.seeds import Total

GROWTH_MIB, GROWTH_THREADS, GROWTH_FILES = 40.0, 40, 60
"""By so much a daemon that does the same all the time may differ between two looks."""


def by_cause(lost: Iterable[str | None]) -> str:
    """Return how many jobs are LOST for which cause; ``lost`` has their messages."""
    causes = Counter(re.sub(r"\S*\d\S*", "…", message or "no word") for message in lost)
    told = ", ".join(f"{count} for: {cause}" for cause, count in causes.most_common())
    return f"{causes.total()} LOST" + (f" ({told})" if told else "")


@dataclass
class Figures:
    """Everything that a soak prints; ``wrong`` has a sentence for all that must not be."""

    seed: int
    seconds: float
    lines: list[tuple[str, object]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    cuts: int = 0
    cuts_failed: list[str] = field(default_factory=list)

    def tell(self, what: str, figure: object) -> None:
        """Add a line."""
        self.lines.append((what, figure))

    def add_simulation(self, total: Total) -> None:
        """Add what the simulated machines showed."""
        self.lines += total.rows()
        self.wrong += [f"seed {seed}: {'; '.join(what)}" for seed, what in total.wrong.items()]
        self.wrong += ["a trace differs"] * total.mismatches

    def add_beaten(self, beaten: Beaten) -> None:
        """Add what the daemon showed that was killed all the time."""
        self.wrong += beaten.left_over()
        beaten.daemon.stop()
        verdict, codes = beaten.examine(), beaten.wrong_codes()
        struck = ", ".join(f"{what} {n}" for what, n in sorted(beaten.struck.items()))
        self.tell("real kills", f"{beaten.kills} ({struck})")
        self._add_verdict(verdict, beaten)
        self.tell("containers orphaned after the grace", len(beaten.orphans))
        disturbed = [line for line in codes if re.search(r"with (137|143)", line)]
        self.tell("running jobs disturbed", len(disturbed))
        self.tell("exit codes wrong", len(codes))
        self.tell("logs that differ", f"{len(beaten.logs_differ)} of {beaten.logs_compared}")
        self.wrong += [*beaten.logs_differ, *beaten.unquiet]
        worst, median = max(beaten.recoveries), statistics.median(beaten.recoveries)
        self.tell("recovery", f"median {median:.2f} s, worst {worst:.2f} s")
        self.wrong += [*verdict.wrong, *codes]
        beaten.close()

    def _add_verdict(self, verdict: Verdict, beaten: Beaten) -> None:
        with beaten.rows("SELECT outcome, message FROM jobs") as rows:
            ends = Counter(row["outcome"] for row in rows)
            self.tell("by cause", by_cause(r["message"] for r in rows if r["outcome"] == "LOST"))
        ended = ", ".join(f"{outcome} {n}" for outcome, n in sorted(ends.items()))
        self.tell("jobs acknowledged", f"{len(beaten.acknowledged)} ({ended})")
        self.tell("jobs lost", len(verdict.lost))
        self.tell("jobs run twice", len(verdict.twice))
        self.tell("leases checked", verdict.leases)
        self.tell("leases overlapping", len(verdict.overlapping))
        self.tell("leases leaked", len(verdict.leaked))

    def add_siege(self, users: int, quiet: Felt, loud: Felt) -> None:
        """Add what a normal user felt beside so many hostile ones."""
        self.tell(f"besieged by {users}", loud.against(quiet))
        self.wrong += [f"besieged by {users}: {what}" for what in loud.broken(quiet)]

    def add_steady(self, steady: Steady) -> None:
        """Add how the daemon grew that was left alone."""
        wrong = steady.drill.left_over()
        steady.drill.daemon.stop()
        before, after = steady.before, steady.after
        assert before is not None
        assert after is not None
        self.tell("a daemon left alone: at the start", before)
        self.tell("at the end", f"{after} ({len(steady.drill.acknowledged)} jobs)")
        wrong += [*steady.drill.examine().wrong, *steady.drill.wrong_codes()]
        self.wrong += [f"the daemon left alone: {each}" for each in wrong]
        grown = (
            after.mib - before.mib > GROWTH_MIB
            or after.threads - before.threads > GROWTH_THREADS
            or after.files - before.files > GROWTH_FILES
        )
        self.wrong += [f"it grew: {before} to {after}"] * grown
        steady.drill.close()

    def add_tests(self, passed: bool, output: str, points: int) -> None:
        """Add what the drills showed that are tests: each cell and each point once."""
        reached = re.search(r"crash points reached: (\d+) of", output)
        told = re.findall(r"endpoint x fault cells covered: (\d+)", output)
        cells = len(job_cells()) + len(machine_cells())
        self.tell("crash points reached", f"{reached[1] if reached else 0} of {points}")
        self.tell("endpoint x fault cells", f"{sum(map(int, told))} of {cells}")
        whole = reached is not None and int(reached[1]) == points and sum(map(int, told)) == cells
        if not (passed and whole):
            self.wrong.append(f"a drill failed: {output[-3000:]}")

    def __str__(self) -> str:
        lines = [
            ("soak", f"{self.seconds:g} s, seed {self.seed}"),
            *self.lines,
            ("WAL cuts tried / failed", f"{self.cuts} / {len(self.cuts_failed)}"),
            ("wrong", len(self.wrong) + len(self.cuts_failed)),
        ]
        width = max(len(what) for what, _ in lines)
        told = [f"{what:<{width}}  {figure}" for what, figure in lines]
        return "\n".join([*told, *self.wrong, *self.cuts_failed])
