"""A further command in a job: its terminal or its streams, and its exit code."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence

from launcher.cli.foreground.detach_keys import DetachKeys
from launcher.cli.foreground.terminal_session import SessionEnd, TerminalSession
from launcher.cli.output import terminal
from launcher.cli.output.exit_codes import EXIT_NEVER_RAN
from launcher.client import Client
from launcher.errors import LauncherError, StaleRequest

SETTLE_SECONDS = 5.0
"""Docker records a command's exit code within this time after the end of its stream."""
LOOK_SECONDS = 0.02


def execute(
    client: Client,
    ref: str,
    words: Sequence[str],
    *,
    tty: bool,
    stdin: bool,
    environment: Mapping[str, str],
    working_dir: str | None,
    keys: bytes,
) -> int:
    """Run the command in the job, stay until it ends, and return its exit code; 0 when detached."""
    attached = client.terminal.execute(
        ref, words, tty=tty, stdin=stdin, environment=environment, working_dir=working_dir
    )
    command = attached.command or ""

    def resize(rows: int, columns: int) -> None:
        with contextlib.suppress(LauncherError):
            Client(client.socket, timeout=5).terminal.resize(ref, rows, columns, command=command)

    detach = DetachKeys(keys) if tty else None
    session = TerminalSession(attached, sends=stdin, keys=detach)
    if session.run(resize if tty else None) is SessionEnd.DETACHED:
        terminal.say(f"detached: the command goes on in job {ref}")
        return 0
    return _exit_code(client, ref, command)


def _exit_code(client: Client, ref: str, command: str) -> int:
    until = time.monotonic() + SETTLE_SECONDS
    while True:
        try:
            view = client.terminal.command(ref, command)
        except StaleRequest:  # the job's container is gone, and the command with it
            terminal.complain(f"job {ref} ended, and the command with it")
            return EXIT_NEVER_RAN
        if view.exit_code is not None:
            return view.exit_code
        if time.monotonic() > until:
            terminal.complain(f"the connection broke; the command goes on in job {ref}")
            return EXIT_NEVER_RAN
        time.sleep(LOOK_SECONDS)
