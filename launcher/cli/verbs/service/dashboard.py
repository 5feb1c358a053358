"""``launch dashboard``: a link that logs its user in to the pages of ``launch web``, once."""

from __future__ import annotations

import click

from launcher.cli.input.common import connect
from launcher.errors import LauncherError
from launcher.text.safe_text import safe

EVERYWHERE = ("", "0.0.0.0", "::", "127.0.0.1", "::1", "localhost")
"""Addresses of [web] listen that are reached as 127.0.0.1 on the machine itself."""


@click.command("dashboard", short_help="Print a link to the web page that logs you in.")
def command() -> None:
    """Print a link that logs you in to the web page of this machine, once, for 10 minutes.

    The page shows the GPUs, the queue and your jobs live, and lets you cancel, hold, release and
    retry them. Without a login it shows what every user sees. `launch web` must run on the machine:
    `launch help web`. From another computer forward its port by the ssh command that is printed.

    What follows # in the link is not sent with the request for the page, so that no log has it.
    """
    from launcher.config.web import parse_listen

    token = connect().web_token()
    try:
        host, port = parse_listen(token.listen)
    except ValueError as error:
        raise LauncherError(
            f"{token.listen!r} of the daemon is not an address for a link: {error}",
            fix="Correct [web] listen of launcher.toml.",
        ) from error
    host = "127.0.0.1" if host in EVERYWHERE else f"[{host}]" if ":" in host else host
    click.echo(safe(f"http://{host}:{port}/login#{token.token}"))
    click.echo(
        "The link works once, within "
        f"{token.seconds // 60} minutes. From another computer, first run there:\n"
        f"  {_forwarding(host, port)}",
        err=True,
    )


def _forwarding(host: str, port: int) -> str:
    """Return the ssh command that forwards a port of this machine."""
    import socket

    return f"ssh -N -L {port}:{host}:{port} {safe(socket.gethostname())}"
