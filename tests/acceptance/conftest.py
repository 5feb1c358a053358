"""One daemon for the tests of a file, and the command as a user has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launcher.fakegpu import Machine
from launcher.fakegpu.sandbox import Sandbox
from tests.acceptance.shell import Shell, no_traceback
from tests.conftest import A30, MakeDaemon
from tests.support.daemon import DaemonProcess
from tests.support.user import OrdinaryUser
from tests.support.wait import wait_until

MIXED = "A30:1g.6gb*2/2g.12gb,T4"
"""Slices of two sizes, and a whole GPU."""


@pytest.fixture
def make_daemon(make_daemon: MakeDaemon) -> Iterator[MakeDaemon]:
    """As everywhere, but with no traceback in a log."""
    daemons: list[DaemonProcess] = []

    def make(spec: str = A30, **options: object) -> DaemonProcess:
        daemons.append(make_daemon(spec, **options))
        return daemons[-1]

    yield make
    for daemon in daemons:
        no_traceback(daemon.log.read_text())


@pytest.fixture(scope="module")
def shared(
    sandbox: Sandbox,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[DaemonProcess]:
    """A daemon for all tests of a file, the command itself; its ``SPEC`` says on which machine."""
    place = tmp_path_factory.mktemp("shared")
    spec = getattr(request.module, "SPEC", A30)
    machine = Machine.create(place / "machine", spec)
    daemon = DaemonProcess(sandbox.docker_host, machine, place / "state")
    daemon.nursery = None
    try:
        yield daemon.start()
        log = daemon.log.read_text()
    finally:
        daemon.close()
    no_traceback(log)


@pytest.fixture
def launch(shared: DaemonProcess, tmp_path: Path) -> Iterator[Shell]:
    """The command for the file's daemon; jobs that a test leaves behind are cancelled."""
    shell = Shell(shared.environment, tmp_path)
    yield shell
    shell.close()
    for job in shared.client.jobs():
        shared.client.cancel(job.id)
    busy = ("leased", "releasing")
    wait_until(
        lambda: (
            not shared.client.jobs() and not any(s.state in busy for s in shared.client.slices())
        ),
        timeout=20,
        what="every slice is free again",
    )


MakeShell = Callable[[DaemonProcess], Shell]


@pytest.fixture
def shell_for(tmp_path: Path) -> Iterator[MakeShell]:
    """Make the command for a test's own daemon."""
    made: list[Shell] = []

    def make(daemon: DaemonProcess) -> Shell:
        made.append(Shell(daemon.environment, tmp_path))
        return made[-1]

    yield make
    for shell in made:
        shell.close()


@pytest.fixture
def games(shared: DaemonProcess) -> Iterator[Shell]:
    """The command of an ordinary user."""
    user = OrdinaryUser("games")
    environment = user.environment | {"LAUNCHER_SOCKET": str(shared.socket)}
    shell = Shell(environment, user.home, user.command(docker=False))
    yield shell
    shell.close()
    user.close()
