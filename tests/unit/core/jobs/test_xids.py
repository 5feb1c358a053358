"""XIDs: programs' errors are passed over, all others take their slices out of use."""

from __future__ import annotations

import pytest

from launcher.core.jobs.xids import OF_PROGRAMS
from launcher.core.messages import events as ev
from launcher.core.model.gpu import Xid
from launcher.core.model.job import State
from tests.support.builders import Machine, a30, mig, profile


def xid(machine: Machine, number: int, gi: int | None = None, ci: int | None = None) -> None:
    machine.tell(ev.XidSeen(Xid("GPU-a", number, gi, ci)))


def quarantined(machine: Machine) -> set[str]:
    return {uuid for uuid, state in machine.world.slices.items() if state.quarantine}


def two_gpus() -> Machine:
    return Machine(
        slices=[*(mig(i) for i in range(4)), mig(0, gpu="GPU-b")], gpus=[a30(), a30("GPU-b")]
    )


@pytest.mark.parametrize("gi", range(4))
def test_an_xid_takes_the_slice_that_it_names_and_no_other(gi: int) -> None:
    machine = two_gpus()
    xid(machine, 94, gi, 0)
    assert quarantined(machine) == {f"MIG-a-{gi}"}
    state = machine.world.slices[f"MIG-a-{gi}"]
    assert state.quarantine == f"XID 94 was reported for GPU instance {gi} of it"
    assert (state.lasting, state.quarantined_at) == (True, machine.time.wall)


def test_an_xid_of_the_whole_gpu_takes_all_of_its_slices() -> None:
    machine = two_gpus()
    xid(machine, 79)
    assert quarantined(machine) == {f"MIG-a-{i}" for i in range(4)}


def test_an_xid_of_a_gpu_instance_takes_every_device_in_it() -> None:
    machine = two_gpus()
    xid(machine, 94, 2)
    assert quarantined(machine) == {"MIG-a-2"}


def test_an_xid_of_another_compute_instance_takes_nothing() -> None:
    machine = two_gpus()
    xid(machine, 94, 2, 1)
    assert quarantined(machine) == set()


@pytest.mark.parametrize("number", sorted(OF_PROGRAMS))
def test_a_programs_error_takes_nothing_and_is_told_to_the_job_it_names(number: int) -> None:
    machine = two_gpus()
    (job,) = machine.submit(profile())
    machine.run(job)
    machine.world.take_changes()
    xid(machine, number, 0, 0)
    xid(machine, number)
    assert quarantined(machine) == set()
    lines = [line.detail for line in machine.world.take_changes().history]
    assert lines == [f"MIG-a-0: XID {number}: an error of the program"]


def test_a_job_on_the_slice_is_left_alone_and_told_and_the_slice_takes_no_other() -> None:
    machine = Machine(slices=[mig(0)])
    (job,) = machine.submit(profile())
    machine.run(job)
    machine.world.take_changes()
    xid(machine, 94, 0, 0)
    assert job.state is State.RUNNING
    changes = machine.world.take_changes()
    assert [(h.job, h.event) for h in changes.history] == [(job.id, "Xid")]
    assert changes.quarantines["MIG-a-0"] is not None
    machine.end(job)
    (waiting,) = machine.submit(profile())
    assert (quarantined(machine), waiting.state) == ({"MIG-a-0"}, State.PENDING)
    machine.tell(ev.QuarantineCleared("MIG-a-0"))
    assert waiting.state is State.STARTING


def test_a_process_that_stays_does_not_make_an_xids_quarantine_a_passing_one() -> None:
    machine = Machine(slices=[mig(0)])
    (job,) = machine.submit(profile())
    machine.run(job)
    xid(machine, 94, 0, 0)
    machine.end(job, idle=False)
    machine.tell(ev.SliceStuck(job.id, job.attempt, "MIG-a-0", "process 7"))
    state = machine.world.slices["MIG-a-0"]
    assert (state.lasting, "XID 94" in (state.quarantine or "")) == (True, True)
