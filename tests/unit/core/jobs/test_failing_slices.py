"""Three starts in a row that fail on a slice take it out of use, whichever jobs they are of."""

from __future__ import annotations

import pytest

from launcher.core.jobs.failing_slices import MAX_FAILED_STARTS
from launcher.core.messages import events as ev
from launcher.core.messages.events import StartFailure
from launcher.core.model.job import Job, State
from tests.support.builders import Machine, mig, profile


def one_slice() -> Machine:
    return Machine(slices=[mig(0)])


def fail(machine: Machine, job: Job, failure: StartFailure, times: int = 1) -> None:
    """Fail the start of a job, which is tried again at once, so often."""
    for _ in range(times):
        assert job.state is State.STARTING
        machine.fail_start(job, failure, slice="MIG-a-0")
        machine.see([mig(0)])


def leave(machine: Machine, job: Job) -> None:
    """End a job that is about to start; nothing was wrong with the slice."""
    machine.tell(ev.CancelAsked(job.id, job.owner.uid))
    machine.fail_start(job, StartFailure.USER)
    machine.tell(ev.SlicesIdle(job.id, job.attempt, ("MIG-a-0",)))
    assert job.state is State.DONE


@pytest.mark.parametrize("failure", [StartFailure.INFRA, StartFailure.SLICE_CHANGED])
def test_the_third_failed_start_in_a_row_quarantines_the_slice_for_good(
    failure: StartFailure,
) -> None:
    machine = one_slice()
    state = machine.world.slices["MIG-a-0"]
    (first,) = machine.submit(profile())
    fail(machine, first, failure, MAX_FAILED_STARTS - 1)
    leave(machine, first)
    assert state.quarantine is None
    second, third = machine.submit(profile(), profile())
    fail(machine, second, failure)
    assert state.quarantine == "3 starts in a row failed on it, the last one: because"
    assert (state.lasting, state.usable, third.state) == (True, False, State.PENDING)
    machine.tell(ev.QuarantineCleared("MIG-a-0"))
    fail(machine, second, failure)
    assert state.quarantine is None, "it counts from nothing again"


@pytest.mark.parametrize(
    "failure",
    [f for f in StartFailure if f not in (StartFailure.INFRA, StartFailure.SLICE_CHANGED)],
)
def test_what_is_not_the_slices_fault_is_not_held_against_it(failure: StartFailure) -> None:
    machine = one_slice()
    for _ in range(MAX_FAILED_STARTS):
        (job,) = machine.submit(profile())
        if job.state is State.STARTING:
            machine.fail_start(job, failure, slice="MIG-a-0")
    assert machine.world.slices["MIG-a-0"].failed_starts == 0


def test_what_names_no_slice_is_held_against_none() -> None:
    """As where Docker's disk is full: each job is held in its turn, the slices stay."""
    machine = one_slice()
    (job,) = machine.submit(profile())
    for _ in range(MAX_FAILED_STARTS):
        machine.fail_start(job, StartFailure.INFRA)
    assert job.held is not None
    assert machine.world.slices["MIG-a-0"].failed_starts == 0


def test_a_start_that_works_holds_nothing_against_the_slice() -> None:
    machine = one_slice()
    first, second = machine.submit(profile(), profile())
    fail(machine, first, StartFailure.INFRA, MAX_FAILED_STARTS - 1)
    machine.run(first)
    machine.end(first)
    fail(machine, second, StartFailure.INFRA, MAX_FAILED_STARTS - 1)
    assert machine.world.slices["MIG-a-0"].quarantine is None


def test_of_several_slices_only_the_one_that_is_named_is_counted() -> None:
    machine = Machine(slices=[mig(0), mig(1)])
    (job,) = machine.submit(profile(count=2))
    machine.fail_start(job, StartFailure.INFRA, slice="MIG-a-1")
    counts = {uuid: s.failed_starts for uuid, s in machine.world.slices.items()}
    assert counts == {"MIG-a-0": 0, "MIG-a-1": 1}
