"""``launch web``: pages and metrics on the network, as one process without rights."""

from __future__ import annotations

import click

from launcher.cli.input import params


@click.command("web", short_help="Serve the web page and metrics over HTTP.")
@click.option(
    "--listen",
    type=params.TEXT,
    metavar="ADDRESS:PORT",
    help="Where to; default: [web] listen of launcher.toml, 127.0.0.1:8080.",
)
@click.option("--config", metavar="FILE", help="The configuration.  [env var: LAUNCHER_CONFIG]")
def command(listen: str | None, config: str | None) -> int:
    """Serve the web page and /metrics for Prometheus over HTTP, until it is stopped.

    A process beside the daemon, which it asks over its socket with the rights of an observer: it
    reads what every user sees. A user who logs in by `launch dashboard` has their own rights on the
    page. Run it as a user of its own, never as root. `launch help web` is about the page, `launch
    help monitoring` says how Prometheus and Grafana use it.
    """
    from launcher.web.main import serve

    return serve(config, listen)
