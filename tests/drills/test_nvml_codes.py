"""Every NVML function that we call, with every code that NVML has, through the real nvidia-ml-py.

Each cell ends in a value that is true, or in an error of our tree with a sentence: no process is
overlooked and no slice is lost because a call merely failed.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pynvml
import pytest

from launcher.core.model.gpu import Inventory, Placement
from launcher.errors import LauncherError
from launcher.fakegpu import Machine
from launcher.gpu import Carver, Events, GpuReader, carve
from launcher.gpu.activity import LEAST_SECONDS
from launcher.gpu.calls import asking
from tests.support.machines import build_directory  # noqa: F401
from tests.support.nvmlcalls import called, symbol
from tests.support.wait import wait_until

HOPPER = 9
"""NVML_DEVICE_ARCH_HOPPER."""

CODES = sorted(
    value
    for name, value in vars(pynvml).items()
    if name.startswith("NVML_ERROR_") and isinstance(value, int)
)
SPEC = "A30:1g.6gb*3,A30"
PIDS = {"compute": 21, "mps": 22, "graphics": 23}


@dataclass
class Cell:
    """A machine with a reader, and what was true of it before anything failed."""

    machine: Machine
    reader: GpuReader
    events: Events
    truth: Inventory
    ops: dict[str, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.gpu, self.plain = self.machine.gpu_uuids()
        self.slice = self.truth.slices[0]

    def names(self) -> dict[str, int]:
        with self.machine.locked() as state:
            return {row.name.decode(): row.calls for row in state.counters if row.calls}

    def restore(self) -> None:
        """Put the machine back as it was made; NVML is closed."""
        self.machine.clear_faults()
        self.machine.set_mig_mode(self.plain, on=False)
        for instance in self.machine.instances():
            if instance.gpu_uuid == self.gpu and instance.start == 3:
                self.machine.remove_instance(self.gpu, instance.gi)
        self.reader.close()


def _create(cell: Cell) -> Any:
    return Carver(cell.reader).create(cell.gpu, 14, Placement(3, 1))


def _complete(cell: Cell) -> Any:
    bare = cell.machine.add_instance(cell.gpu, "1g.6gb", 3, bare=True)
    return Carver(cell.reader).complete(cell.gpu, bare.gi)


def _destroy(cell: Cell) -> Any:
    made = cell.machine.add_instance(cell.gpu, "1g.6gb", 3)
    return Carver(cell.reader).destroy(cell.gpu, made.gi, 14, Placement(3, 1))


def _mode(cell: Cell) -> Any:
    cell.machine.set_reset_works(cell.plain, works=False)
    try:
        return Carver(cell.reader).set_mode(cell.plain, on=True)
    finally:
        cell.machine.set_reset_works(cell.plain, works=True)


def _activity(cell: Cell) -> Any:
    """Compare samples of a slice and of a whole GPU, as if the boards were Hoppers."""
    whole = cell.truth.slices[-1]
    with cell.machine.locked() as state:
        ampere = state.gpus[0].architecture
        state.gpus[0].architecture = state.gpus[1].architecture = HOPPER
    try:
        first = [cell.reader.activity(each) for each in (cell.slice, whole)]
        assert first == [None, None], "one sample tells nothing"
        wait_until(partial(_has_passed, time.monotonic() + LEAST_SECONDS))
        result = [cell.reader.activity(each) for each in (cell.slice, whole)]
        cell.reader.close()
        cell.reader.activity(cell.slice)
        return result
    finally:
        with cell.machine.locked() as state:
            state.gpus[0].architecture = state.gpus[1].architecture = ampere


def _has_passed(moment: float) -> bool:
    return time.monotonic() > moment


def _wait(cell: Cell) -> Any:
    cell.events.wait(0.0)
    cell.machine.xid(cell.gpu, 79)
    return cell.events.wait(0.05)


def _fail_to_wait(cell: Cell) -> Any:
    """Let go of the event set after a wait that failed."""
    cell.events.wait(0.0)
    cell.machine.fail("nvmlEventSetWait_v2", "GPU_IS_LOST")
    cell.machine.fail("nvmlEventSetWait_v2", "INVALID_ARGUMENT", at=2)
    with contextlib.suppress(LauncherError):
        cell.events.wait(0.0)
    with contextlib.suppress(LauncherError):
        cell.events.wait(0.0)


OPS: dict[str, Callable[[Cell], Any]] = {
    "inventory": lambda cell: cell.reader.inventory(),
    "inventory again": lambda cell: cell.reader.inventory(),
    "processes": lambda cell: cell.reader.processes(cell.slice.uuid),
    "memory_used": lambda cell: cell.reader.memory_used(cell.slice.uuid),
    "older processes": lambda cell: cell.reader.processes(cell.slice.uuid),
    "activity": _activity,
    "verify": lambda cell: cell.reader.verify(cell.slice),
    "verify whole": lambda cell: cell.reader.verify(cell.truth.slices[-1]),
    "driver_version": lambda cell: cell.reader.driver_version(),
    "device_node": lambda cell: cell.reader.device_node(cell.gpu),
    "persistence": lambda cell: cell.reader.persistence(cell.gpu),
    "capacity": lambda cell: cell.reader.capacity(cell.gpu),
    "close": lambda cell: (cell.reader.driver_version(), cell.reader.close()),
    "create": _create,
    "complete": _complete,
    "destroy": _destroy,
    "set_mode": _mode,
    "events": _wait,
    "events that fail": _fail_to_wait,
}


def prepare(cell: Cell, op: str) -> None:
    """Make what is known before; an older driver has the older process lists only."""
    if op in ("inventory again", "processes", "memory_used", "verify"):
        cell.reader.inventory()
    if op == "older processes":
        for kind in ("Compute", "MPSCompute", "Graphics"):
            cell.machine.absent(f"nvmlDeviceGet{kind}RunningProcesses_v3")


@pytest.fixture(scope="module")
def cell(
    build_directory: Any,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cell]:
    machine = Machine.create(tmp_path_factory.mktemp("codes"), SPEC)
    machine.load(build_directory)
    reader = GpuReader(5.0)
    made = Cell(machine, reader, Events(reader), reader.inventory())
    for kind, pid in PIDS.items():
        machine.add_process(made.slice.uuid, pid, kind=kind)
    for op, run in OPS.items():
        made.restore()
        prepare(made, op)
        before = made.names()
        with contextlib.suppress(carve.ResetNeeded):
            run(made)
        after = made.names()
        made.ops[op] = {name for name in after if after[name] != before.get(name, 0)}
    made.restore()
    yield made
    made.restore()
    machine.close()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "FIRST_WAIT_S", 0.0)
    monkeypatch.setattr(carve, "IN_USE_SECONDS", 0.0)


def test_every_function_that_is_called_is_reached(cell: Cell) -> None:
    reached = set().union(*cell.ops.values())
    assert {name for name in called() if symbol(name) not in reached} == set()
    assert len(called()) > 40


@pytest.mark.parametrize("function", called())
def test_whatever_a_function_answers_the_result_is_true_or_an_error_that_says_so(
    cell: Cell, function: str, count: Callable[[str, int], None]
) -> None:
    name = symbol(function)
    wrong: list[str] = []
    cells = 0
    for op in (op for op, names in cell.ops.items() if name in names):
        for code in CODES:
            cell.restore()
            prepare(cell, op)
            cell.machine.fail(name, code, times=None)
            cells += 1
            try:
                result = OPS[op](cell)
            except LauncherError as error:
                if len(error.message.split()) < 3 or not _NAMED.search(error.message):
                    wrong.append(f"{op}, {code}: {error.message!r} says nothing")
                continue
            except BaseException as other:
                wrong.append(f"{op}, {asking.code_name(code)}: {type(other).__name__}: {other}")
                continue
            told = untrue(cell, op, name, code, result)
            if told is not None:
                wrong.append(f"{op}, {asking.code_name(code)}: {told}")
    cell.restore()
    assert not wrong, "\n".join(wrong)
    count("NVML function x code cells covered", cells)


_NAMED = re.compile(r"NVML|NVIDIA|GPU|MIG|operating system")
"""What a sentence about a failed call is about."""


def untrue(cell: Cell, op: str, name: str, code: int, result: Any) -> str | None:
    """Return what is wrong with a value that a read gave though a call failed."""
    unknowable, gone = code in asking.UNKNOWABLE, code in asking.GONE
    if op in ("inventory", "inventory again"):
        return _inventory(cell, result, may_hide=unknowable and name == "nvmlDeviceGetMigMode")
    if op in ("processes", "older processes"):
        lists = {f"nvmlDeviceGet{k}RunningProcesses": p for k, p in _LISTS.items()}
        hidden = lists.get(name[:-3]) if unknowable else None
        seen = {p.pid for p in result}
        missing = set(PIDS.values()) - seen - {hidden}
        return f"the processes {missing} are overlooked" if missing else None
    if op == "activity":
        wrong = [each for each in result if each is not None and each.percent]
        return f"the activity is {wrong}" if wrong else None
    if op.startswith("verify") and result is not None:
        return None if gone else f"it says that {result}"
    return None


_LISTS = {"MPSCompute": PIDS["mps"], "Graphics": PIDS["graphics"]}


def _inventory(cell: Cell, found: Inventory, *, may_hide: bool) -> str | None:
    silent = {uuid or cell.gpu for uuid, _ in found.silent}
    if any("is lost and left out" in warning for warning in found.warnings):
        silent.add(cell.gpu)  # it fell off the bus: then its slices are
    for s in cell.truth.slices:
        seen = next((o for o in found.slices if o.uuid == s.uuid), None)
        if seen is None and s.gpu_uuid not in silent and not may_hide:
            return f"{s.uuid} is lost"
        if seen is not None and seen.identity[:4] != s.identity[:4]:
            return f"{s.uuid} is another: {seen}"
    return None
