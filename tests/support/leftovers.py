"""No sandbox of a session leaves a process behind, whatever was killed in it."""

from __future__ import annotations

import pytest

from launcher.fakegpu.processes import command_line
from launcher.fakegpu.sandbox import Sandbox

LEFT = pytest.StashKey[list[str]]()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the session where a process of one of its sandboxes is left; each worker its own."""
    if hasattr(session.config, "workerinput"):
        return  # its directory is in that of the session
    place = session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    sandboxes = [Sandbox(log.parent) for log in place.rglob("dockerd.log")]
    left = [" ".join(command_line(pid)) for each in sandboxes for pid in each.left()]
    session.config.stash[LEFT] = left
    if left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def tell_leftovers(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell in the summary what is left."""
    if left := terminalreporter.config.stash.get(LEFT, []):
        terminalreporter.section("processes of sandboxes that are left")
        terminalreporter.write_line("\n".join(left))
