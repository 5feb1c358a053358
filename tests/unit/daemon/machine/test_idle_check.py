"""When a slice is proven free, also where NVML does not tell its processes."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from launcher.core.messages.actions import ProveIdle
from launcher.core.messages.events import SlicesIdle, SliceStuck
from launcher.daemon.loop.health import Health
from launcher.daemon.machine import idle_check
from launcher.daemon.machine.idle_check import IdleCheck
from launcher.engine.containers import cgroup_is_empty
from launcher.errors import GpuFault, GpuGone, GpuPermission, GpuSilent
from launcher.gpu import GpuProcess
from tests.support.builders import mig

MIG = "MIG-1"


@dataclass
class Machine:
    """Answers as Docker and NVML would: one answer after the other, the last one stays."""

    processes_: list[Any]
    container: Any = None
    asked: int = field(default=0)
    difference: Any = None

    def verify(self, what: Any) -> str | None:
        if isinstance(self.difference, Exception):
            raise self.difference
        return self.difference

    def processes(self, uuid: str, patience: float | None = None) -> list[GpuProcess]:
        answer = self.processes_[min(self.asked, len(self.processes_) - 1)]
        self.asked += 1
        if isinstance(answer, Exception):
            raise answer
        return [GpuProcess(pid, None, "compute") for pid in answer]

    def find(self, name: str, container_id: str | None) -> Any:
        return self.container

    def is_empty(self, container_id: str) -> bool:
        return cgroup_is_empty(container_id)


def told(machine: Machine, container_id: str | None) -> list[Any]:
    """What the prover says of one slice."""
    events: list[Any] = []
    idle_check = IdleCheck(machine, machine, Health())  # type: ignore[arg-type]
    idle_check.prove(ProveIdle(7, 1, "launch-x-7-1", container_id, (MIG,), "7"), events.append)
    return events


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle_check, "PROOF_SECONDS", 0.05)
    monkeypatch.setattr(idle_check, "POLL_SECONDS", 0.005)


def our_cgroup() -> str:
    """A text that is in this very process's cgroup file."""
    return Path(f"/proc/{os.getpid()}/cgroup").read_text().splitlines()[0]


def test_a_slice_without_processes_is_free() -> None:
    assert told(Machine([[]]), "c1") == [SlicesIdle(7, 1, (MIG,))]


def test_a_process_is_waited_for() -> None:
    machine = Machine([[4711], [4711], []])
    assert told(machine, "c1") == [SlicesIdle(7, 1, (MIG,))]
    assert machine.asked == 3


def test_a_process_that_stays_is_named() -> None:
    (stuck,) = told(Machine([[4711]]), "c1")
    assert isinstance(stuck, SliceStuck)
    assert "process 4711" in stuck.why


def test_a_slice_that_cannot_be_asked_is_not_free() -> None:
    (stuck,) = told(Machine([GpuFault("it does not exist now")]), "c1")
    assert isinstance(stuck, SliceStuck)
    assert "does not exist" in stuck.why


HIDDEN = GpuPermission("NVML refused the call")


def test_where_nvml_hides_processes_an_empty_cgroup_is_the_proof() -> None:
    assert told(Machine([HIDDEN]), "0" * 64) == [SlicesIdle(7, 1, (MIG,))]


def test_where_nvml_hides_processes_one_in_the_cgroup_keeps_the_slice() -> None:
    (stuck,) = told(Machine([HIDDEN]), our_cgroup())
    assert isinstance(stuck, SliceStuck)
    assert "refuses to list" in stuck.why


def test_a_container_that_never_ran_has_left_nothing_on_the_slice() -> None:
    assert told(Machine([HIDDEN]), None) == [SlicesIdle(7, 1, (MIG,))]


def test_a_quarantined_slice_is_not_proven_free_by_not_knowing() -> None:
    idle_check = IdleCheck(Machine([HIDDEN]), Machine([HIDDEN]), Health())  # type: ignore[arg-type]
    assert idle_check.idle_now((MIG,), "") == ()


@pytest.mark.parametrize(
    ("difference", "processes", "why"),
    [
        (None, [], None),
        ("MIG-1 was a 1g.6gb and is now a 2g.12gb", [], "was a 1g.6gb"),
        (GpuSilent("NVML does not answer"), [], "does not answer"),
        (None, [4711], "process 4711"),
        (None, HIDDEN, "refuses to list"),
    ],
)
def test_a_slice_is_clean_if_it_is_what_it_was_and_nobody_is_on_it(
    difference: Any, processes: Any, why: str | None
) -> None:
    machine = Machine([processes], difference=difference)
    found = IdleCheck(machine, machine, Health()).probe(mig(0))  # type: ignore[arg-type]
    assert (found is None) == (why is None)
    assert (why or "") in (found or "")


@pytest.mark.parametrize(
    ("container_id", "free"), [(None, True), ("0" * 64, True), (our_cgroup(), False)]
)
def test_a_slice_that_is_gone_is_free_once_its_container_is(
    container_id: str | None, free: bool
) -> None:
    (event,) = told(Machine([GpuGone("MIG-1 does not exist now")]), container_id)
    assert isinstance(event, SlicesIdle if free else SliceStuck)


def test_an_end_is_held_up_for_a_moment_only_however_many_slices_are_silent() -> None:
    machine = Machine([GpuSilent("NVML is busy")])
    patience: list[float | None] = []
    ask = machine.processes
    machine.processes = lambda uuid, left=None: (patience.append(left), ask(uuid))[1]  # type: ignore[method-assign]
    check = IdleCheck(machine, machine, Health())  # type: ignore[arg-type]
    assert check.idle_now(("MIG-1", "MIG-2", "MIG-3"), "c1") == ()
    assert len(patience) == 3
    assert all(left is not None and 0.0 <= left <= idle_check.END_SECONDS for left in patience)
    assert idle_check.END_SECONDS <= 0.2
