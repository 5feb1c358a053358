"""Every call that the daemon makes of Docker, with everything that can go wrong with it: cells.

A cell is one job (or one look at the machine) whose one call meets one fault, once.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from launcher.wire import GpuRequest, JobSpec, SignalBefore
from tests.drills.real import job
from tests.support.proxy import ERRORS, FAULTS

CONTAINER = {
    "create": r"^POST \S*/containers/create\?name=launch-\w+-{id}-1\b",
    "start": r"^POST \S*/containers/launch-\w+-{id}-1/start",
    "inspect": r"^GET \S*/containers/launch-\w+-{id}-1/json",
    "wait": r"^POST \S*/containers/launch-\w+-{id}-1/wait",
    "stop": r"^POST \S*/containers/launch-\w+-{id}-1/kill\?signal=SIGTERM",
    "kill": r"^POST \S*/containers/launch-\w+-{id}-1/kill\?signal=SIGKILL",
    "signal": r"^POST \S*/containers/launch-\w+-{id}-1/kill\?signal=SIGUSR1",
    "remove": r"^DELETE \S*/containers/launch-\w+-{id}-1\b",
    "logs": r"^GET \S*/containers/launch-\w+-{id}-1/logs",
}
IMAGE = {
    "image inspect": r"^GET \S*/images/\S*cell{id}:1/json",
    "pull": r"^POST \S*/images/create\?\S*cell{id}\b",
}
MACHINE = {
    "version": r"^GET \S*/version ",
    "list": r"^GET \S*/containers/json",
    "info": r"^GET \S*/info ",
}
SLICES = ",".join(["A100-40GB:1g.5gb*7"] * 8)
SLICE = GpuRequest(kind="profile", profile="1g.5gb")
"""A slice for each cell at once: the machine, and what a job asks of it."""
CODE = 3
NOT_HERE = ("image inspect", "404")
LINES = "echo one; echo two; sleep 0.3; echo three; exit 3"


@dataclass(frozen=True)
class Cell:
    """One call and one fault; ``id`` is the job's that meets it."""

    id: int
    call: str
    fault: str

    @property
    def pattern(self) -> str:
        """Return the first line of the request that meets the fault."""
        return (CONTAINER | IMAGE)[self.call].format(id=self.id)

    @property
    def message(self) -> str | None:
        """Return Docker's own words where the usual ones would mean something else."""
        if (self.call, self.fault) == ("create", "404"):
            return "No such image: sha256:0000"
        return None

    def request(self, image: str) -> JobSpec:
        """Return the job: it makes the call that the cell is about."""
        fields: dict[str, Any] = {
            "image": image,
            "gpus": SLICE,
            "name": f"{self.call}-{self.fault}".replace(" ", "-"),
        }
        match self.call:
            case "stop" | "kill":
                return job("sleep", "60", **fields)
            case "signal":
                warned = SignalBefore(name="SIGUSR1", before=1.0)
                script = "trap '' USR1; sleep 60"
                return job("sh", "-c", script, time_limit=2.0, signal=warned, **fields)
        return job("sh", "-c", LINES, **fields)

    @property
    def may_be_lost(self) -> bool:
        """Whether Docker denied that there is such a container: then what it did is not known."""
        return (self.call, self.fault) == ("inspect", "404")

    @property
    def end(self) -> tuple[str, int | None]:
        """Return how the job must end: outcome, and exit code where one is known for certain."""
        if (self.call == "pull" and self.fault in ERRORS) or (self.call, self.fault) == NOT_HERE:
            return "FAILED", None  # the words of a registry, or of a Docker that denies the image
        if self.call in ("stop", "kill"):
            return "CANCELLED", None
        return ("TIMEOUT", None) if self.call == "signal" else ("FAILED", CODE)


def job_cells() -> list[Cell]:
    """Return the cells that are a job each; their ids are in the order of submits."""
    pairs = itertools.product((*CONTAINER, *IMAGE), FAULTS)
    return [Cell(number, call, fault) for number, (call, fault) in enumerate(pairs, start=1)]


def machine_cells() -> list[tuple[str, str]]:
    """Return (call, fault) of the calls that are about no job."""
    return list(itertools.product(MACHINE, FAULTS))
