"""What happened to jobs since the start of the daemon, counted from committed changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from launcher.core.messages.changes import Changes, HistoryLine
from launcher.core.messages.events import AttemptStarted, StartFailed
from launcher.core.model.job import Job, Outcome, State, wall_of
from launcher.core.model.lease import Lease
from launcher.core.model.use import CPU
from launcher.daemon.metrics.amounts import SECONDS, Histogram, LabelledCounter, ProfileHistogram

AT_A_TIME = 200
"""Lines or jobs in one step."""
PLENTIFUL = frozenset({"submitted", "image"})
"""Lines of the history that one decision may write for 100,000 jobs, and that count nothing."""
GRANTED = "granted"
"""The history's word for a new attempt (``core.scheduling.scheduler``)."""


class JobMetrics:
    """Counts the jobs of each decision; for the loop's thread only."""

    def __init__(self) -> None:
        self.submitted = 0
        self.attempts = 0
        self.retries = 0
        self.started = 0
        self.starts_failed = 0
        self.ended = LabelledCounter(*(outcome.value for outcome in Outcome))
        self.wait, self.run = ProfileHistogram(SECONDS), ProfileHistogram(SECONDS)
        self.turnaround = Histogram(SECONDS)
        self._profiles: dict[int, str] = {}
        """The profile of each job that holds slices."""
        self._completing: set[int] = set()
        """The jobs whose end was counted and that still hold slices."""

    def resume(self, jobs: Iterable[Job], leases: Iterable[Lease] = ()) -> None:
        """Begin with the jobs that have attempts, and the live leases.

        The ends of jobs that ended before the start of the daemon are left out.
        """
        self._completing |= {job.id for job in jobs if job.outcome is not None}
        self._profiles |= {lease.job: lease.slice.profile for lease in leases}

    def changed(self, changes: Changes, wall: float) -> Iterator[None]:
        """Count a committed decision, in steps; ``wall`` is its time (seconds since 1970).

        Every end of a job has a line in its history, so jobs that were only submitted cost nothing.
        """
        self.submitted += len(changes.new_jobs)
        for lease in changes.leases.values():
            if lease.released_at is None:
                self._profiles[lease.job] = lease.slice.profile
        lines = [line for line in changes.history if line.event not in PLENTIFUL]
        for number, line in enumerate(lines, start=1):
            if (job := changes.jobs.get(line.job)) is not None:
                self._count(line, job)
            if number % AT_A_TIME == 0:
                yield
        for number, job_id in enumerate(dict.fromkeys(line.job for line in lines), start=1):
            if (job := changes.jobs.get(job_id)) is not None:
                self._look(job, wall)
            if number % AT_A_TIME == 0:
                yield

    def _look(self, job: Job, wall: float) -> None:
        """Count the end of a job that has ended, once."""
        if job.outcome is None:
            self._completing.discard(job.id)
        elif job.id not in self._completing:
            self._end(job, wall)
        if job.state is State.DONE:
            self._completing.discard(job.id)
        if job.state in (State.DONE, State.PENDING):
            self._profiles.pop(job.id, None)

    def _count(self, line: HistoryLine, job: Job) -> None:
        if line.event == GRANTED:
            self.attempts += 1
            if job.attempt > 1:
                self.retries += 1
            else:
                self.wait.observe(self._profile(job), line.at - job.submitted_at)
        elif line.event == AttemptStarted.__name__:
            self.started += 1
        elif line.event == StartFailed.__name__:
            self.starts_failed += 1

    def _profile(self, job: Job) -> str:
        return self._profiles.get(job.id, CPU)

    def _end(self, job: Job, wall: float) -> None:
        assert job.outcome is not None
        self._completing.add(job.id)
        self.ended.add(job.outcome.value)
        started, ended = wall_of(job.started_at), wall_of(job.ended_at)
        if started is not None and ended is not None:
            self.run.observe(self._profile(job), ended - started)
        self.turnaround.observe((ended or wall) - job.submitted_at)
