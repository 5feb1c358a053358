"""One Compose file, read without a daemon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from launcher.errors import JobFileError
from launcher.jobfile.compose.services import Picked
from launcher.jobfile.reading.files import read_text
from launcher.jobfile.reading.keys import Around
from launcher.wire import JobSpec

HOME = {"HOME": "/home/me"}


class Reading:
    """The jobs of a file, what is wrong with it, and what is told of it."""

    def __init__(
        self, text: str, *services: str, base: Path = Path("/base"), **client: str
    ) -> None:
        around = Around(base, {**HOME, **client}, picked=Picked(services))
        problems: list[JobFileError]
        try:
            self.jobs, problems = read_text(text.encode(), "c.yaml", around)
        except JobFileError as error:
            self.jobs, problems = [], [error]
        problems.sort(key=lambda problem: (problem.line, problem.column))
        self.said = [each.message.removeprefix("c.yaml:") for each in problems]
        self.notices = [each.removeprefix("c.yaml:") for each in around.notices]

    @property
    def job(self) -> JobSpec:
        """The one job of a file that is valid."""
        assert not self.said, self.said
        (job,) = self.jobs
        return job

    @property
    def ignored(self) -> list[str]:
        """The keys that change nothing for a job."""
        words = " ignored, as it changes nothing for a job: "
        found = [each.removeprefix(words) for each in self.notices if each.startswith(words)]
        return found[0].split(", ") if found else []


def service(keys: str, *services: str, base: Path = Path("/base"), **client: str) -> Reading:
    """Read a Compose file with one service, whose keys are these lines."""
    lines = "".join(f"    {line}\n" for line in keys.split("\n"))
    return Reading(f"services:\n  a:\n    image: x\n{lines}", *services, base=base, **client)


def names(jobs: Sequence[JobSpec]) -> list[str]:
    """Return the names of jobs."""
    return [job.name for job in jobs]


def dependencies(jobs: Sequence[JobSpec]) -> Mapping[str, Mapping[str, str]]:
    """Return what each job waits for."""
    return {job.name: job.depends_on for job in jobs}
