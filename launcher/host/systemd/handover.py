"""Sends a command to the main process of its service, and reports why one failed to start."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from collections.abc import Callable
from typing import Any

from launcher.host.helper.children import MOST_ERROR_BYTES, RECEIVED, Command, CommandFiles, failed
from launcher.host.systemd.bus import SERVICE, Systemd, SystemdError
from launcher.host.systemd.service import main_status

EXECUTE_SECONDS = 10.0
"""A command executes within this time after its service has started."""
REAP_SECONDS, LOOK_AGAIN_SECONDS = 2.0, 0.02
"""systemd reaps a main process within this time after its end; and the polling interval."""
_STEPS = {
    202: "FDS", 203: "EXEC", 205: "LIMITS", 206: "OOM_ADJUST", 208: "STDIN", 209: "STDOUT",
    216: "GROUP", 217: "USER", 219: "CGROUP", 222: "STDERR", 224: "PAM",
}  # fmt: skip
"""The step of systemd that failed, by exit status (systemd.exec(5))."""


def hand_over(
    bus: Systemd,
    unit: str,
    command: Command,
    ours: socket.socket,
    files: CommandFiles,
    begins: Callable[[int], None],
) -> int:
    """Send a command and its files to a service; return its pid once it executes.

    ``begins`` is called with the pid before the command can act. Raises ``OSError`` as soon as
    the service's main process ends before that.
    """
    pid = int(property_of(bus, unit, "MainPID"))
    begins(pid)
    report_fd, report_end = os.pipe2(os.O_CLOEXEC)
    try:
        try:
            with command.in_memory() as file:
                stdin = () if files.stdin is None else (files.stdin,)
                passed = [file, files.stdout, files.stderr, report_end, *stdin]
                socket.send_fds(ours, [b"!"], passed)
        except BrokenPipeError:
            raise SystemdError("", _did_not_run(bus, unit)) from None
        finally:
            os.close(report_end)
        report = _report(report_fd, pid)
    finally:
        os.close(report_fd)
    if not report.startswith(RECEIVED):
        raise SystemdError("", _did_not_run(bus, unit))
    if report != RECEIVED:
        raise failed(report.removeprefix(RECEIVED))
    return pid


def why_not_started(bus: Systemd, unit: str, result: str) -> str:
    """Return why a unit did not start; ``result`` is the result of systemd's job."""
    with contextlib.suppress(OSError):
        if (how := _how_main_ended(bus, unit)) is not None:
            return f"{unit} did not start: its main process {how}; see `journalctl -u {unit}`"
    return f"{unit} did not start: {result}; see `journalctl -u {unit}`"


def property_of(bus: Systemd, unit: str, name: str) -> Any:
    """Return a property of a loaded unit."""
    kind = unit.rpartition(".")[2].capitalize()
    return bus.property(name, at=bus.path(unit), of=f"{SERVICE}.{kind}")


def _report(report_fd: int, pid: int) -> bytes:
    """Return the report of the main process, read until it closes or the process ends."""
    poll, report, main = select.poll(), b"", -1
    poll.register(report_fd, select.POLLIN)
    if pid:
        with contextlib.suppress(ProcessLookupError):
            main = os.pidfd_open(pid)
            poll.register(main, select.POLLIN)
    until = time.monotonic() + EXECUTE_SECONDS
    try:
        while left := max(0.0, until - time.monotonic()):
            ready = dict(poll.poll(left * 1000 if main != -1 else 0))
            if report_fd in ready:
                chunk = os.read(report_fd, MOST_ERROR_BYTES)
                if not chunk:
                    return report
                report += chunk
            elif ready or main == -1:
                return b""
    finally:
        if main != -1:
            os.close(main)
    raise SystemdError("", f"the command did not execute within {EXECUTE_SECONDS:g} seconds")


def _did_not_run(bus: Systemd, unit: str) -> str:
    how = "ended"
    until = time.monotonic() + REAP_SECONDS
    while time.monotonic() < until:
        if (result := _how_main_ended(bus, unit)) is not None:
            how = result
            break
        time.sleep(LOOK_AGAIN_SECONDS)
    return f"the main process of {unit} {how} before it ran the command; see `journalctl -u {unit}`"


def _how_main_ended(bus: Systemd, unit: str) -> str | None:
    """Return how a service's main process ended, as a verb phrase; None if it runs."""
    code = int(property_of(bus, unit, "ExecMainCode"))
    status = main_status(code, int(property_of(bus, unit, "ExecMainStatus")))
    if status is None:
        return None
    number = os.waitstatus_to_exitcode(status)
    if number < 0:
        return f"was killed by signal {-number}"
    step = f"/{_STEPS[number]}" if number in _STEPS else ""
    return f"exited with status {number}{step}"
