"""``launch port``: how to reach the ports of a running job."""

from __future__ import annotations

import getpass
import os
import socket

import click

from launcher.cli.input import params
from launcher.cli.input.common import connect, output_option
from launcher.cli.output import render, terminal
from launcher.text.safe_text import safe


@click.command("port", short_help="Say how to reach the ports of a running job.")
@output_option
@click.argument("ref", type=params.LIVE_JOB, metavar="JOB")
def command(ref: str, output: str) -> None:
    """Say how to reach the ports that a job has (`launch run -p PORT`, `ports:`).

    Each port has a socket on this machine that you alone may use. The ssh line, typed on your own
    machine, leads from there to the socket: then open http://localhost:PORT.
    """
    ports = connect().terminal.ports(ref)
    if output == "json":
        render.print_json(ports)
        return
    if output == "name":
        render.print_names([port.socket for port in ports])
        return
    if not ports:
        terminal.say("this job has no ports: `launch run -p PORT` or `ports:` gives them")
    for port in ports:
        if port.trouble is not None:
            terminal.complain(f"port {port.port}: {port.trouble}")
        if port.socket:
            click.echo(safe(f"ssh -NL {port.port}:{port.socket} {_here()}"))
        if port.loopback is not None:
            click.echo(f"http://127.0.0.1:{port.loopback} (for every user of this machine)")


def _here() -> str:
    """Return this user and machine as ssh knows them: by the address that an ssh login came to."""
    words = os.environ.get("SSH_CONNECTION", "").split()
    return f"{getpass.getuser()}@{words[2] if len(words) == 4 else socket.gethostname()}"
