"""``launch serve``: the daemon, as one foreground process."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, get_origin

import click

from launcher import last_words
from launcher.client.sockets import answers
from launcher.config.default_paths import default_socket
from launcher.config.settings import Config, kinds, load
from launcher.errors import LauncherError


def _flags(command: Callable[..., int]) -> Callable[..., int]:
    """Add the flags of the configuration's keys."""
    for name, (kind, also) in reversed(kinds().items()):
        if also.flag is None:
            continue
        base = get_args(kind)[0]
        choice = click.Choice(get_args(base)) if get_origin(base) is Literal else None
        help_ = f"{also.flag}  [env var: {also.variable}]" if also.variable else also.flag
        add = click.option(
            f"--{name.replace('_', '-')}",
            type=choice,
            is_flag=base is bool,
            default=None,
            metavar=also.metavar,
            help=help_,
        )
        command = add(command)
    return command


@click.command("serve", short_help="Run the daemon in the foreground.")
@click.option("--config", metavar="FILE", help="The configuration.  [env var: LAUNCHER_CONFIG]")
@_flags
@click.option(
    "--rebuild-from-docker",
    "rebuild",
    is_flag=True,
    help="Make a damaged database anew from the containers and what can still be read of it.",
)
def command(rebuild: bool, **flags: Any) -> int:
    """Run the daemon in the foreground, until it is stopped; jobs go on without it."""
    from launcher.daemon.main import serve

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
    try:
        return str(load(flags).socket)
    except LauncherError:
        return flags["socket"] or os.environ.get("LAUNCHER_SOCKET") or default_socket()
