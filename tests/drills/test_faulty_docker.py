"""A Docker that refuses, delays, errs, drops its answers, cuts them short or hangs: every cell."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from launcher.engine.connection import DockerConnection
from launcher.errors import LauncherError
from launcher.fakegpu.sandbox import Sandbox
from tests.drills.matrix import MACHINE, SLICE, SLICES, Cell, job_cells, machine_cells
from tests.drills.real import Drill, job, wait_for_state
from tests.support.daemon import BUSYBOX, CONFIG
from tests.support.proxy import FAULTS, FaultyDocker, Rule
from tests.support.registry import Registry
from tests.support.wait import wait_until

Count = Callable[[str, int], None]
TIMEOUT = "docker_timeout_seconds = 2\n"


@pytest.fixture
def proxy(sandbox: Sandbox) -> Iterator[FaultyDocker]:
    with FaultyDocker(sandbox.docker_host) as made:
        yield made


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    made = Registry(tmp_path / "registry")
    yield made
    made.stop()


@pytest.fixture
def drill(sandbox: Sandbox, proxy: FaultyDocker, tmp_path: Path) -> Iterator[Drill]:
    made = Drill(sandbox, tmp_path / "drill", spec=SLICES)
    made.daemon.docker_host = proxy.docker_host
    made.daemon.config.write_text(CONFIG + TIMEOUT)
    made.start()
    yield made
    made.close()


def images(cells: list[Cell], sandbox: Sandbox, registry: Registry) -> dict[int, str]:
    """Give each cell that is about an image one of its own: here, or in the registry."""
    api = DockerConnection(sandbox.docker_host).api()
    found = {}
    image = sandbox.import_busybox("drills/cells:1")
    for cell in cells:
        found[cell.id] = BUSYBOX
        if cell.call == "image inspect":
            found[cell.id] = f"launcher/cell{cell.id}:1"
            api.tag(image, f"launcher/cell{cell.id}", "1")
        elif cell.call == "pull":
            found[cell.id] = registry.push(sandbox.docker_host, image, f"cell{cell.id}:1")
    return found


@pytest.mark.timeout(240)
def test_every_call_of_docker_with_every_fault_ends_as_is_known(
    drill: Drill, proxy: FaultyDocker, sandbox: Sandbox, registry: Registry, count: Count
) -> None:
    cells = job_cells()
    kept = images(cells, sandbox, registry)
    rules: dict[Cell, Rule] = {
        cell: proxy.add(cell.pattern, cell.fault, body=cell.message) for cell in cells
    }
    known = len(sandbox.hook.starts())
    for cell in cells:
        assert drill.submit(cell.request(kept[cell.id])) == cell.id

    def cancel(cell: Cell) -> None:
        wait_for_state(cell.id, "RUNNING")(drill)
        drill.daemon.client.cancel(str(cell.id), now=cell.call == "kill")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(cancel, [cell for cell in cells if cell.call in ("stop", "kill")]))
    drill.until_quiet()
    wrong = [problem for cell in cells for problem in faults(drill, cell, rules[cell])]
    wrong += drill.verdict()
    assert not wrong, "\n".join(wrong)
    assert len(sandbox.hook.starts()) - known >= len(cells) - len(FAULTS)
    count("endpoint x fault cells covered", len(cells))


def faults(drill: Drill, cell: Cell, rule: Rule) -> Iterator[str]:
    """Yield what is wrong with one cell at its end."""
    name = f"{cell.call} x {cell.fault} (job {cell.id})"
    if rule.struck != 1:
        yield f"{name}: the call was made {rule.struck} times"
    shown = drill.daemon.client.show(str(cell.id)).job
    outcome, code = cell.end
    if cell.may_be_lost and shown.outcome == "LOST":
        return
    if shown.outcome != outcome or (code is not None and shown.exit_code != code):
        told = f"{shown.outcome} {shown.exit_code} ({shown.message})"
        yield f"{name}: it ended {told}, not {outcome} {code}"
    if code is not None:
        frames = drill.daemon.client.logs(str(cell.id))
        written = b"".join(frame.data for frame in frames if frame.stream == 1)
        if written != b"one\ntwo\nthree\n":
            yield f"{name}: its log has {written!r}"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("call", list(MACHINE))
def test_calls_about_the_machine_fail_without_harm_and_the_daemon_is_well_again(
    drill: Drill, proxy: FaultyDocker, call: str, count: Count
) -> None:
    cells = [(each, fault) for each, fault in machine_cells() if each == call]
    for _, fault in cells:
        rule = proxy.add(MACHINE[call], fault)
        number = drill.submit(job("true", gpus=SLICE), 0)
        assert number is not None
        wait_until(lambda rule=rule: _poke(drill, call, rule), timeout=20, what=f"{call} {fault}")
    wait_until(lambda: drill.daemon.client.status().state == "healthy", timeout=20)
    drill.until_quiet()
    assert drill.verdict() == []
    count("endpoint x fault cells covered", len(cells))


def _poke(drill: Drill, call: str, rule: Rule) -> bool:
    """Have the call made, where nothing makes it by itself; whether it met its fault."""
    if call == "info" and not rule.struck:
        with contextlib.suppress(LauncherError):
            drill.daemon.client.doctor()
    return rule.struck == 1
