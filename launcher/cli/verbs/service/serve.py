"""``launch serve``: the daemon, as one foreground process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from launcher import last_words
from launcher.client.sockets import answers
from launcher.config.default_paths import default_socket
from launcher.errors import LauncherError

if TYPE_CHECKING:
    from launcher.config.settings import Config


@click.command("serve", short_help="Run the daemon in the foreground.")
@click.option("--socket", metavar="PATH", help="The socket to listen on.")
@click.option("--state-dir", metavar="DIR", help="Where the queue and the logs are kept.")
@click.option("--config", metavar="FILE", help="The configuration (launcher.toml).")
@click.option("--docker-host", metavar="URL", help="Docker's socket: unix:///path.")
@click.option("--fake-gpu", metavar="SPEC", help="Pretend to have GPUs: A30:1g.6gb*4.")
@click.option("--idle-exit", type=click.FloatRange(min=0), metavar="SECONDS", help="End when idle.")
@click.option("--drain", is_flag=True, help="Start nothing new, and end once nothing runs.")
@click.option(
    "--rebuild-from-docker",
    "rebuild",
    is_flag=True,
    help="Make a damaged database anew from the containers and what can still be read of it.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="How much to say on stderr.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    help="Lines for people, or one JSON object a line.",
)
def command(
    socket: str | None,
    state_dir: str | None,
    config: str | None,
    docker_host: str | None,
    fake_gpu: str | None,
    idle_exit: float | None,
    drain: bool,
    rebuild: bool,
    log_level: str | None,
    log_format: str | None,
) -> int:
    """Run the daemon in the foreground, until it is stopped; jobs go on without it.

    The environment has LAUNCHER_SOCKET, LAUNCHER_STATE_DIR, LAUNCHER_CONFIG and DOCKER_HOST for the
    same things.
    """
    from launcher.daemon.main import serve

    flags = {
        "socket": socket,
        "state_dir": state_dir,
        "config": config,
        "docker_host": docker_host,
        "fake_gpu": fake_gpu,
        "idle_exit": idle_exit,
        "drain": drain or None,
        "log_level": log_level,
        "log_format": log_format,
    }
    try:
        return serve(_with_fake_gpu, rebuild=rebuild, **flags)
    except LauncherError as error:
        place = _socket_of(flags)
        # systemd's socket takes connections also while no daemon is there.
        if "LISTEN_FDS" in os.environ or not answers(place):
            last_words.leave(place, error)
        raise


def _with_fake_gpu(config: Config) -> Config:
    """Load the stand-in GPU if one is configured; other daemons never import it."""
    if config.fake_gpu is None:
        return config
    from launcher.fakegpu.serving import with_fake_gpu

    return with_fake_gpu(config, config.fake_gpu)


def _socket_of(flags: Mapping[str, Any]) -> str:
    """Return where the daemon would have listened."""
    from launcher.config.settings import load

    try:
        return str(load(flags).socket)
    except LauncherError:
        return flags["socket"] or os.environ.get("LAUNCHER_SOCKET") or default_socket()
