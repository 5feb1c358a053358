"""Which jobs a request means by their user, state and name: one rule for all requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from launcher.core.model.job import Job
from launcher.core.model.patterns import compiled
from launcher.daemon.users.identity import Caller
from launcher.errors import UserError
from launcher.wire.states import OUTCOMES, parse_states

JOBS_AT_A_TIME = 500
NAMES_AT_A_TIME = 100
"""This many are looked at before other requests get a turn."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The filters of a request; None passes every job. ``states`` are states and outcomes."""

    caller: Caller
    user: str | None
    states: frozenset[str] | None
    matches: Callable[[str], bool] | None

    @property
    def is_everything(self) -> bool:
        """Whether every job passes."""
        return self.user is None and self.states is None and self.matches is None

    @property
    def means_ended(self) -> bool:
        """Whether jobs that have ended are asked for by their outcome."""
        return bool(self.states and self.states & set(OUTCOMES))

    def passes(self, job: Job) -> bool:
        """Whether a job has the user and state; its name is looked at by ``of``."""
        if self.user is not None and self.user not in (job.owner.name, str(job.owner.uid)):
            return False
        words = {job.outcome.value} if job.outcome else set[str]()
        return self.states is None or bool(self.states & {*words, job.state.value})

    async def of(self, jobs: Sequence[Job]) -> list[Job]:
        """Return the jobs that pass, in steps.

        The names of others' jobs are not shown to users, and match no pattern of theirs.
        """
        if self.is_everything:
            return list(jobs)
        result: list[Job] = []
        step = JOBS_AT_A_TIME if self.matches is None else NAMES_AT_A_TIME
        for first in range(0, len(jobs), step):
            some = [job for job in jobs[first : first + step] if self.passes(job)]
            if self.matches is not None:
                some = [j for j in some if self.caller.may_see(j.owner) and self.matches(j.name)]
            result += some
            await asyncio.sleep(0)
        return result


def selection(
    caller: Caller, user: str | None = None, state: str | None = None, name: str | None = None
) -> Selection:
    """Return the selection of a request's filters; raises ``UserError`` for a malformed one.

    ``user`` is a name, a uid, or ``me``; ``state`` words with commas; ``name`` a pattern.
    """
    try:
        states = None if state is None else parse_states(state)
    except ValueError as error:
        raise UserError(f"state: {error}") from None
    user = caller.owner.name if user == "me" else user
    return Selection(caller, user, states, None if name is None else compiled(name))
