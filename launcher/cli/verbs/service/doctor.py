"""``launch doctor``: what is well, what is not, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

import click

from launcher.cli.input.common import connect, elsewhere, output_option
from launcher.cli.output import render, terminal
from launcher.errors import DaemonUnreachable
from launcher.wire import Check


@click.command("doctor", short_help="Check Docker, GPUs and the daemon, and say what to mend.")
@click.option("--fix", is_flag=True, help="Make the harmless repairs (admins), then check again.")
@output_option
def command(fix: bool, output: str) -> int:
    """Check Docker, the GPUs and the daemon: exit status 1 if there is a problem.

    Without a daemon it checks what it can by itself. `--fix` makes missing device nodes, writes an
    old CDI spec anew, and switches persistence mode on; what else there is to do is printed.
    """
    try:
        client = connect()
        checks = client.doctor_fix() if fix else client.doctor()
    except DaemonUnreachable as error:
        if elsewhere():  # the checks without a daemon are of this machine
            raise
        from launcher.daemon.doctor import alone

        daemon = Check(check="daemon", state="problem", message=error.message, fix=error.fix)
        checks = [daemon, *alone.checks()]
    if output == "json":
        render.print_json(checks)
    elif output == "name":
        render.print_names([check.check for check in checks])
    else:
        _print(checks)
    return 1 if any(check.state == "problem" for check in checks) else 0


def _print(checks: Sequence[Check]) -> None:
    render.print_table(
        ("CHECK", "STATE", "MESSAGE"), [(each.check, each.state, each.message) for each in checks]
    )
    for each in checks:
        if each.fix and each.state != "ok":
            terminal.say(f"{each.check}: {each.fix}")
