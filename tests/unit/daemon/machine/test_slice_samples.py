"""Samples of slices: what NVML does not report is None, and a sample ends in time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

from launcher.daemon.machine.slice_samples import ProcessSample, SliceSample, SliceSampler
from launcher.errors import GpuPermission, GpuSilent, LauncherError
from launcher.gpu import GpuProcess

MINE = os.getpid()


class FakeReader:
    """Answers with these values, or raises them."""

    def __init__(self, memory: int | LauncherError | None, *processes: GpuProcess) -> None:
        self.memory = memory
        self.listed: list[GpuProcess] | LauncherError = list(processes)
        self.asked: list[tuple[str, float | None]] = []

    def memory_used(self, uuid: str, patience: float | None = None) -> int | None:
        self.asked.append((uuid, patience))
        if isinstance(self.memory, LauncherError):
            raise self.memory
        return self.memory

    def processes(self, uuid: str, patience: float | None = None) -> list[GpuProcess]:
        if isinstance(self.listed, LauncherError):
            raise self.listed
        return self.listed


def sampler(reader: FakeReader, budget_s: float = 5.0, proc: Path = Path("/proc")) -> SliceSampler:
    return SliceSampler(cast(Any, reader), budget_s, proc)


def test_memory_and_processes_are_kept_with_the_users_of_the_processes() -> None:
    one = sampler(FakeReader(300, GpuProcess(MINE, 200, "compute")))
    assert one.sample(["MIG-1"])
    assert one.of("MIG-1") == SliceSample(300, (ProcessSample(MINE, os.getuid(), 200),))
    assert one.of("MIG-2") == SliceSample(None, None)


def test_only_a_difference_is_reported() -> None:
    reader = FakeReader(300)
    one = sampler(reader)
    assert one.sample(["MIG-1"])
    assert not one.sample(["MIG-1"])
    reader.memory = 301
    assert one.sample(["MIG-1"])


def test_a_call_that_fails_is_none_and_not_zero() -> None:
    reader = FakeReader(GpuSilent("busy"))
    reader.listed = GpuPermission("no privilege")
    one = sampler(reader)
    one.sample(["MIG-1"])
    assert one.of("MIG-1") == SliceSample(None, None)


def test_a_process_without_a_figure_and_one_that_has_ended_are_listed() -> None:
    one = sampler(FakeReader(0, GpuProcess(4711, None, "compute")), proc=Path("/nonexistent"))
    one.sample(["MIG-1"])
    assert one.of("MIG-1").processes == (ProcessSample(4711, None, None),)


def test_a_process_that_computes_and_draws_is_listed_once() -> None:
    reader = FakeReader(0, GpuProcess(MINE, 5, "compute"), GpuProcess(MINE, 7, "graphics"))
    one = sampler(reader)
    one.sample(["MIG-1"])
    (process,) = one.of("MIG-1").processes or ()
    assert process.memory_mib == 7


def test_when_the_time_is_over_the_others_are_not_asked() -> None:
    reader = FakeReader(1)
    one = sampler(reader, budget_s=-1.0)
    one.sample(["MIG-1", "MIG-2"])
    assert (reader.asked, one.of("MIG-1")) == ([], SliceSample(None, None))


def test_each_call_may_take_the_rest_of_the_time_only() -> None:
    reader = FakeReader(1)
    sampler(reader, budget_s=2.0).sample(["MIG-1", "MIG-2"])
    assert all(patience is not None and 0 < patience <= 2.0 for _, patience in reader.asked)
