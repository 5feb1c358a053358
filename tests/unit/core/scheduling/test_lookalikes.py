"""A job that waits for a profile that does not exist is told what exists and how to get one."""

from __future__ import annotations

import dataclasses

import pytest

from launcher.core.model.gpu import Slice
from launcher.core.model.job import Reason
from launcher.core.scheduling.explain import blockers
from launcher.spec.gpus import GpuKind, GpuRequest
from tests.support.boards import profiles
from tests.support.builders import Machine, a30, mig, profile


def have(machine: Machine, need: GpuRequest) -> str:
    (job,) = machine.submit(need)
    (blocker,) = blockers(machine.world, job, machine.time)
    assert blocker.reason is Reason.NO_SUCH_PROFILE
    return blocker.have


def on(*slices: Slice, mode: bool = True) -> Machine:
    return Machine(
        slices=slices, gpus=[dataclasses.replace(a30(), mig_current=mode, profiles=profiles("A30"))]
    )


def test_one_that_has_room_is_created_by_the_command_that_is_named() -> None:
    assert have(on(mig(0), mig(1)), profile("2g.12gb")) == (
        "0 exist now; slices here: 2 x 1g.6gb; an admin can add one: "
        "`launch layout create 2g.12gb --gpu 0`"
    )


def test_one_that_has_no_room_needs_another_layout() -> None:
    text = have(Machine(), GpuRequest("memory", memory_gb=20))
    assert "slices here: 4 x 1g.6gb" in text
    assert "`launch layout plan --exact 4g.24gb --gpu 0`" in text


@pytest.mark.parametrize("kind", ["full", "all"])
def test_a_whole_gpu_where_mig_mode_is_on_says_so(kind: GpuKind) -> None:
    assert have(Machine(), GpuRequest(kind)) == (
        "0 exist now; MIG mode is on at GPU 0, so it is not given whole: "
        "request a slice (`--profile 1g.6gb`)"
    )


def test_without_mig_mode_that_comes_first() -> None:
    assert "slices here: none; MIG mode of GPU 0 is off: `launch layout enable --gpu 0`" in have(
        on(mode=False), profile("1g.6gb")
    )
