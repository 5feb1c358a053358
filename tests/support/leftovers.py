"""No sandbox of a session leaves a process behind, whatever was killed in it."""

from __future__ import annotations

import contextlib

import pytest

from launcher.fakegpu.processes import command_line, with_argument
from launcher.fakegpu.sandbox import Sandbox
from tests.support.wait import wait_until

LEFT = pytest.StashKey[list[str]]()


def left_of(sandboxes: list[Sandbox]) -> set[int]:
    """Return the pids of their containers and servers, and of what was told to use them."""
    using = (pid for each in sandboxes for pid in with_argument(str(each.run)))
    return {*using, *(pid for each in sandboxes for pid in each.left())}


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the session where a process of one of its sandboxes is left; each worker its own."""
    if hasattr(session.config, "workerinput"):
        return  # its directory is in that of the session
    place = session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    sandboxes = [Sandbox(log.parent) for log in place.rglob("dockerd.log")]
    with contextlib.suppress(AssertionError):
        wait_until(lambda: not left_of(sandboxes), timeout=5)  # what is ending may do so
    left = [" ".join(command_line(pid)) for pid in left_of(sandboxes)]
    session.config.stash[LEFT] = left
    if left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def tell_leftovers(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell in the summary what is left."""
    if left := terminalreporter.config.stash.get(LEFT, []):
        terminalreporter.section("processes of sandboxes that are left")
        terminalreporter.write_line("\n".join(left))
