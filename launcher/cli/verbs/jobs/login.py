"""``launch login``: give the daemon credentials for a registry."""

from __future__ import annotations

import sys

import click

from launcher.cli.input import params
from launcher.cli.input.common import connect
from launcher.cli.output import terminal
from launcher.wire import RegistryAuth


@click.command("login", short_help="Give the daemon your credentials for a registry.")
@click.option("-u", "--username", type=params.TEXT, help="Your name there; asked for if absent.")
@click.option("--password-stdin", is_flag=True, help="Read the password or token from stdin.")
@click.argument("registry", default="docker.io", type=params.TEXT)
def command(registry: str, username: str | None, password_stdin: bool) -> None:
    """Log in to a registry (docker.io if none is named), for your own jobs' pulls alone.

    The registry is asked whether it takes them. The daemon keeps them in memory: after it was
    restarted, jobs that still need them wait for the next login. What `docker login` has written
    for you goes along with every submit anyway.
    """
    from launcher.imageref import registry_of

    host = registry.partition("://")[2] or registry
    host = registry_of(f"{host.partition('/')[0]}/x")
    if password_stdin and username is None:
        raise click.UsageError("--password-stdin goes with --username NAME.")
    name = username or click.prompt(f"Username for {host}", err=True)
    password = _from_stdin() if password_stdin else _asked(name, host)
    if not password:
        raise click.UsageError("the password is empty.")
    reply = connect().login(host, RegistryAuth(username=name, password=password))
    terminal.say(f"{reply.registry}: {reply.message}")


def _from_stdin() -> str:
    return sys.stdin.readline().rstrip("\r\n")


def _asked(name: str, host: str) -> str:
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask for a password: use --password-stdin.")
    text: str = click.prompt(f"Password for {name} at {host}", hide_input=True, err=True)
    return text
