"""``launch doctor``: what is well, what is not, and what to do about it."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from launcher.cli.input.common import connect, output_option
from launcher.cli.output import render, terminal
from launcher.client.autostart import docker_socket
from launcher.client.sockets import answers
from launcher.errors import DaemonUnreachable
from launcher.wire import Check


@click.command("doctor", short_help="Check Docker, GPUs and the daemon, and say what to mend.")
@click.option("--fix", is_flag=True, help="Make the harmless repairs (admins), then check again.")
@output_option
def command(fix: bool, output: str) -> int:
    """Check Docker, the GPUs and the daemon: exit status 1 if there is a problem.

    `--fix` makes missing device nodes, writes a CDI spec that is old anew, and switches persistence
    mode on; what else there is to do is printed.
    """
    try:
        client = connect()
        checks = client.doctor_fix() if fix else client.doctor()
    except DaemonUnreachable as error:
        checks = [Check(check="daemon", state="problem", message=error.message, fix=error.fix)]
        checks.append(_docker())
    if output == "json":
        render.print_json(checks)
    elif output == "name":
        render.print_names([check.check for check in checks])
    else:
        _print(checks)
    return 1 if any(check.state == "problem" for check in checks) else 0


def _docker() -> Check:
    """What can be said of Docker without a daemon."""
    path = docker_socket()
    if path is None:
        return Check(
            check="docker",
            state="problem",
            message=f"DOCKER_HOST ({os.environ.get('DOCKER_HOST')}) is not a local socket",
            fix="Unset it, or set it to unix:///path/of/the/socket.",
        )
    if answers(path):
        return Check(check="docker", state="ok", message=f"answers on {path}")
    return Check(
        check="docker",
        state="warning",
        message=f"you cannot use Docker on {path}; you need not, where a daemon runs for everybody",
        fix="If Docker should run here: systemctl start docker.",
    )


def _print(checks: Sequence[Check]) -> None:
    render.print_table(
        ("CHECK", "STATE", "MESSAGE"), [(each.check, each.state, each.message) for each in checks]
    )
    for each in checks:
        if each.fix and each.state != "ok":
            terminal.say(f"{each.check}: {each.fix}")
