"""Fixtures that all rooms share: one sandboxed dockerd a run, one daemon a test."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import secrets
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from launcher.engine.connection import DockerConnection
from launcher.engine.containers import Containers
from launcher.fakegpu import Machine
from launcher.fakegpu.processes import unmount_below
from launcher.fakegpu.sandbox import Sandbox
from tests.support.daemon import BUSYBOX, DaemonProcess
from tests.support.engine import pytest_collection_modifyitems
from tests.support.leftovers import pytest_sessionfinish, tell_leftovers
from tests.support.listening import listening
from tests.support.machines import build_directory, make_machine
from tests.support.nursery import Nursery
from tests.support.whole import do_it_whole

__all__ = [
    "build_directory", "listening", "make_machine", "pytest_collection_modifyitems",
    "pytest_sessionfinish",
]  # fmt: skip

A30 = "A30:1g.6gb*4"
FIGURES = "figures"
# Without bytecode files each of the hundreds of processes compiles its modules again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# An example's time says more about the machine's other work than about the code.
settings.register_profile("launcher", deadline=None)
settings.load_profile("launcher")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--whole``, which `make soak` gives."""
    parser.addoption("--whole", action="store_true", help="run drills and examples at full length")


def pytest_configure(config: pytest.Config) -> None:
    """Tell the tests' modules, which are imported after this, how long they are to be."""
    do_it_whole(config.getoption("--whole"))


def pytest_collection_finish() -> None:
    """Let no collection of garbage look through five thousand tests: that takes 0.3 s each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def nursery() -> Iterator[None]:
    """Daemons are forked from a process that has loaded their modules."""
    DaemonProcess.nursery = Nursery()
    yield
    DaemonProcess.nursery.close()
    DaemonProcess.nursery = None


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A private dockerd with the stub NVIDIA hook and a busybox image."""
    with Sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        running.import_busybox(BUSYBOX)
        yield running


@pytest.fixture
def docker_here(tmp_path: Path) -> Iterator[Sandbox]:
    """A dockerd of this test's own, which may be killed."""
    with Sandbox(tmp_path / "sandbox") as running:
        running.import_busybox(BUSYBOX)
        yield running


@pytest.fixture
def docker(sandbox: Sandbox) -> Iterator[Containers]:
    """The sandbox's containers; what a test leaves behind is removed."""
    containers = Containers(DockerConnection(sandbox.docker_host))
    yield containers
    connection = DockerConnection(sandbox.docker_host)
    for left in connection.api().containers(all=True):
        containers.remove(left["Id"])


@pytest.fixture
def pins() -> Iterator[Path]:
    """Where this test's pins are; none is left when it is over."""
    made = Path("/run") / f"launcher-test-{secrets.token_hex(6)}"
    yield made
    unmount_below(made)
    shutil.rmtree(made, ignore_errors=True)


MakeDaemon = Callable[..., DaemonProcess]


@pytest.fixture
def make_daemon(
    sandbox: Sandbox, docker: Containers, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[MakeDaemon]:
    """Return a maker of daemons, each with a machine and a state directory of its own."""
    made: list[DaemonProcess] = []

    def make(spec: str = A30, **options: object) -> DaemonProcess:
        number = len(made)
        machine = options.pop("machine", None) or Machine.create(
            tmp_path / f"machine-{number}", spec
        )
        host = options.pop("docker_host", sandbox.docker_host)
        daemon = DaemonProcess(str(host), machine, tmp_path / f"state-{number}", **options)  # type: ignore[arg-type]
        made.append(daemon)
        return daemon

    yield make
    failed = getattr(request.node, "failed", False)
    for daemon in made:
        if failed:
            print(f"--- {daemon.log}\n{daemon.tail()}")
            with contextlib.suppress(Exception):
                print(json.dumps([str(c) for c in docker.running()], indent=1))
        daemon.close()


@pytest.fixture
def daemon(make_daemon: MakeDaemon) -> DaemonProcess:
    """A running daemon on an A30 with four 1g.6gb slices."""
    return make_daemon().start()


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[object], None]:
    """Return what notes figures of a drill: they are printed when all tests are over."""
    return lambda figures: record_property(FIGURES, str(figures))


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Callable[[str, int], None]:
    """Return what adds to a figure that several tests make together."""
    return lambda what, number: record_property(f"{FIGURES}: {what}", number)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures of the drills, from whichever process they came."""
    passed = terminalreporter.getreports("passed")
    noted = [each for report in passed for each in report.user_properties]
    told = [str(figures) for name, figures in noted if name == FIGURES]
    counts: Counter[str] = Counter()
    for name, number in noted:
        if name.startswith(f"{FIGURES}: "):
            counts[name.removeprefix(f"{FIGURES}: ")] += int(str(number))
    told += [f"{what}: {number}" for what, number in counts.items()]
    if told:
        terminalreporter.section("figures")
        terminalreporter.write_line("\n".join(told))
    tell_leftovers(terminalreporter)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Let fixtures know that their test failed, so that they can show what there was."""
    report = yield
    if report.when == "call" and report.failed:  # type: ignore[attr-defined]
        item.failed = True  # type: ignore[attr-defined]
    return report
