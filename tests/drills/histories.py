"""Random but valid histories of a small machine: the same seed gives the same one."""

from __future__ import annotations

import random

from launcher.core.messages import events as ev
from launcher.core.model.job import Job, State
from launcher.errors import LauncherError
from launcher.spec.job_spec import Retries
from tests.support.builders import ALICE, BOB, CPU, Machine, memory, profile

NEEDS = (profile(), profile(count=2), memory(5), CPU)


class History:
    """A machine to which something happens at every step."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.machine = Machine()

    def step(self) -> None:
        """Let one thing happen; where it cannot now, only time passes."""
        machine = self.machine
        machine.wait(self.random.uniform(0.1, 20.0))
        things = (
            self._submit, self._submit, self._array, self._begin, self._begin, self._end,
            self._end, self._hold, self._release, self._cancel, self._drain,
        )  # fmt: skip
        try:
            self.random.choice(things)()
        except LauncherError:
            machine.tell(ev.Tick())

    def _submit(self) -> None:
        needs = self.random.choices(NEEDS, k=self.random.randint(1, 4))
        owner = self.random.choice((ALICE, BOB))
        retries = self.random.choice((None, Retries(2, ("any",), 5.0)))
        limit = self.random.choice((None, 60.0))
        self.machine.submit(*needs, owner=owner, retries=retries, time_limit=limit)

    def _array(self) -> None:
        self.machine.submit_array(self.random.randint(2, 12), most=self.random.choice((None, 2)))

    def _one(self, *states: State) -> Job | None:
        found = [j for j in self.machine.world.jobs.values() if j.state in states]
        return self.random.choice(found) if found else None

    def _begin(self) -> None:
        job = self._one(State.STARTING)
        if job is not None and self.random.random() < 0.15:
            self.machine.fail_start(job, ev.StartFailure.INFRA)
        elif job is not None:
            self.machine.run(job)

    def _end(self) -> None:
        job = self._one(State.RUNNING)
        if job is not None:
            self.machine.end(job, self.random.choice((0, 0, 1)))

    def _hold(self) -> None:
        job = self._one(State.PENDING)
        if job is not None:
            self.machine.tell(ev.HoldAsked(job.id, job.owner.uid))

    def _release(self) -> None:
        job = self._one(State.PENDING)
        if job is not None:
            self.machine.tell(ev.ReleaseAsked(job.id, job.owner.uid, True))

    def _cancel(self) -> None:
        job = self._one(State.PENDING, State.RUNNING)
        if job is not None:
            self.machine.tell(ev.CancelAsked(job.id, job.owner.uid))

    def _drain(self) -> None:
        uuid = self.random.choice(list(self.machine.world.slices))
        reason = self.random.choice((None, "looked at"))
        self.machine.tell(ev.DrainAsked(uuid, reason, ALICE))
