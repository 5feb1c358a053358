"""Right before a start: a slice must be the leased one, and free."""

from __future__ import annotations

from typing import Any

import pytest

from launcher.core.messages.events import StartFailure
from launcher.daemon.attempts.slice_check import SliceCheck
from launcher.daemon.attempts.start_errors import NotStarted
from launcher.daemon.machine.foreign_allowlist import NOBODY
from launcher.errors import EngineUnavailable, GpuFault, GpuPermission, GpuUnavailable
from launcher.gpu import GpuProcess
from tests.support.builders import mig

FIRST, SECOND = mig(0), mig(1)


class Machine:
    """What NVML and Docker say of slices, by UUID; an exception is raised."""

    def __init__(self, changed: Any = None, processes: Any = (), containers: Any = None) -> None:
        self.changed, self.pids, self.used = changed, processes, containers or {}

    def verify(self, one: Any) -> str | None:
        return _said(self.changed)

    def processes(self, uuid: str) -> list[GpuProcess]:
        pids = _said(self.pids) if uuid == SECOND.uuid else ()
        return [GpuProcess(pid, None, "compute") for pid in pids]

    def by_containers(self, slices: Any) -> dict[str, str]:
        return _said(self.used)


def _said(answer: Any) -> Any:
    if isinstance(answer, Exception):
        raise answer
    return answer


def checked(machine: Machine) -> NotStarted | None:
    check = SliceCheck(machine, machine, NOBODY)  # type: ignore[arg-type]
    try:
        check.check((FIRST, SECOND))
    except NotStarted as refused:
        return refused
    return None


def test_slices_that_are_unchanged_and_unused_may_be_given() -> None:
    assert checked(Machine()) is None


@pytest.mark.parametrize(
    ("machine", "failure", "slice_", "words"),
    [
        (Machine("it was a 1g"), StartFailure.SLICE_CHANGED, FIRST, "it was a 1g"),
        (Machine(GpuUnavailable("away")), StartFailure.GPU_AWAY, FIRST, "away"),
        (Machine(GpuFault("broken")), StartFailure.INFRA, FIRST, "broken"),
        (Machine(processes=(7, 8)), StartFailure.FOREIGN, SECOND, "is used by process 7, 8"),
        (
            Machine(containers={SECOND.uuid: "is used by container x"}),
            StartFailure.FOREIGN,
            SECOND,
            "is used by container x",
        ),
    ],
)
def test_a_slice_that_may_not_be_given_is_named_with_the_reason(
    machine: Machine, failure: StartFailure, slice_: Any, words: str
) -> None:
    refused = checked(machine)
    assert refused is not None
    assert (refused.failure, refused.slice, refused.message) == (failure, slice_.uuid, words)


def test_without_docker_nothing_is_given_and_no_slice_is_blamed() -> None:
    refused = checked(Machine(containers=EngineUnavailable("Docker is away")))
    assert refused is not None
    assert (refused.failure, refused.slice) == (StartFailure.ENGINE_AWAY, None)


def test_who_may_not_ask_for_processes_still_asks_docker() -> None:
    machine = Machine(GpuPermission("not root"), containers={FIRST.uuid: "is used"})
    refused = checked(machine)
    assert refused is not None
    assert refused.failure is StartFailure.FOREIGN
    machine.used = {}
    assert checked(machine) is None


def test_a_job_without_a_slice_asks_nothing() -> None:
    machine = Machine(containers=EngineUnavailable("Docker is away"))
    SliceCheck(machine, machine, NOBODY).check(())  # type: ignore[arg-type]
