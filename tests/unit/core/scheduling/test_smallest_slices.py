"""A request for memory takes the slice whose loss costs others least."""

from __future__ import annotations

import dataclasses

import pytest

from launcher.core.model.gpu import FULL, Slice, name_gb
from launcher.core.scheduling.matching import fits, wanted
from launcher.spec.gpus import GpuRequest
from tests.support.builders import Machine, mig


def of(index: int, profile: str, mib: int = 4864) -> Slice:
    return dataclasses.replace(mig(index), profile=profile, memory_mib=mib)


@pytest.mark.parametrize(
    ("rich", "plain"),
    [
        ("1g.5gb+me", "1g.5gb"), ("1g.24gb+me.all", "1g.24gb-me"), ("1g.24gb+gfx", "1g.24gb"),
        ("2g.10gb", "1g.10gb"), ("4g.20gb", "3g.20gb"), ("2g.10gb", "1g.10gb+me"),
        ("1g.24gb+me.all", "1g.24gb+me"),
    ],
)  # fmt: skip
def test_of_equal_memory_the_plain_one_goes_first(rich: str, plain: str) -> None:
    machine = Machine(slices=[of(0, rich), of(1, plain)])
    need = GpuRequest("memory", memory_gb=5)
    assert [s.slice.profile for s in wanted(machine.world, need)] == [plain, rich]


@pytest.mark.parametrize(
    ("mib", "named"),
    [
        (143771, 141), (183359, 180), (24576, 24), (24258, 24), (40960, 40), (81559, 80),
        (95830, 94), (97887, 96), (189471, 186),
    ],
)  # fmt: skip
def test_an_uncut_gpu_is_as_large_as_its_largest_profile_is_called(mib: int, named: int) -> None:
    whole = dataclasses.replace(mig(0), profile=FULL, memory_mib=mib)
    assert name_gb(FULL, mib) == named
    assert fits(GpuRequest("memory", memory_gb=named), whole)
    assert not fits(GpuRequest("memory", memory_gb=named + 1), whole)
