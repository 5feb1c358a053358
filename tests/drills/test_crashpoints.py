"""kill -9 at every crash point, once each, with a real dockerd: nothing lost, nothing twice."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from launcher.crashpoints import POINTS
from launcher.fakegpu.sandbox import Sandbox
from tests.drills.real import Drill, everything
from tests.support.registry import Registry
from tests.support.wait import wait_until
from tests.support.whole import many

AT_ONCE = 4
CUT = many(
    (*(p for p in POINTS if p.endswith(":after")), "commit:inside", "actions:before"), POINTS
)
"""Without `make soak` of each step the point at which it is done and not on record."""


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    made = Registry(tmp_path / "registry")
    yield made
    made.stop()


def cut_off_at(point: str, sandbox: Sandbox, place: Path, image: str | None) -> list[str]:
    """Run a daemon that dies at this point, start it again, and return what is wrong then."""
    drill = Drill(sandbox, place)
    try:
        if point.startswith("log:"):  # else the output keeper writes it
            drill.variables["LAUNCHER_OUTPUT_SOCKET"] = str(place / "no-keeper")
        drill.start(point)
        first = drill.daemon.process
        assert first is not None
        everything(drill, pull=image)
        wait_until(lambda: first.poll() is not None, timeout=20, what=f"{point} is reached")
        if first.returncode != -signal.SIGKILL:
            return [f"the daemon ended with {first.returncode}: {drill.daemon.tail()}"]
        drill.until_quiet()
        return drill.verdict()
    except AssertionError as failed:
        return [f"{failed}; {drill.daemon.tail()}"]
    finally:
        drill.close()


@pytest.mark.timeout(180)
def test_a_daemon_killed_at_any_crash_point_loses_nothing_and_runs_nothing_twice(
    sandbox: Sandbox, registry: Registry, tmp_path: Path, tell: Callable[[object], None]
) -> None:
    image = sandbox.import_busybox("drills/crashpoints:1")
    pulled = {
        point: registry.push(sandbox.docker_host, image, f"{point.replace(':', '-')}:1")
        for point in CUT
        if point.startswith("pull")
    }
    known = {start.container for start in sandbox.hook.starts()}

    def cut(point: str) -> list[str]:
        place = tmp_path / point.replace(":", "-")
        return cut_off_at(point, sandbox, place, pulled.get(point))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        wrong = dict(zip(CUT, pool.map(cut, CUT), strict=True))
    new = [start for start in sandbox.hook.starts() if start.container not in known]
    tell(f"crash points reached: {len(wrong)} of {len(POINTS)}, with {len(new)} starts")
    assert {point: what for point, what in wrong.items() if what} == {}
