"""``launch run``: one container on its own slice, in the foreground or not."""

from __future__ import annotations

from typing import Any

import click

from launcher.cli.input import params
from launcher.cli.input.common import (
    connect_or_start,
    credentials,
    docker_codes,
    mounts_are_elsewhere,
)
from launcher.cli.input.docker_flags import (
    docker_flags,
    must_be_terminal,
    notes,
    terminal_flags,
)
from launcher.cli.input.options import (
    check_array,
    environment,
    plain_fields,
    queued,
    slices_and_queue,
)
from launcher.cli.input.words import WordsCommand
from launcher.cli.output import terminal


@click.command(
    "run",
    cls=WordsCommand,
    short_help="Run one container on its own slice, and return its exit code.",
)
@slices_and_queue
@click.option("--name", type=params.NAME, help="The job's name (the image's).")
@click.option("-d", "--detach", is_flag=True, help="Queue it, print its id, and return.")
@click.option(
    "-p",
    "--publish",
    "ports",
    type=params.PORT,
    multiple=True,
    metavar="PORT",
    help="A port of the container for yourself: see `launch port`.",
)
@click.option("--loopback", is_flag=True, help="-p also on a port of 127.0.0.1, for every user.")
@terminal_flags
@environment
@click.option("-v", "--volume", type=params.TEXT, multiple=True, metavar="SOURCE:TARGET[:ro]")
@click.option(
    "--secret",
    type=params.TEXT,
    multiple=True,
    metavar="NAME=FILE",
    help="A file that the job alone reads, as /run/secrets/NAME.",
)
@click.option("-w", "--workdir", type=params.CONTAINER_PATH)
@click.option("-u", "--user", type=params.USER, metavar="USER[:GROUP]")
@plain_fields
@click.option("--network", type=params.NETWORK, metavar="default|none", help="None: no network.")
@click.option(
    "--policy-profile",
    type=params.POLICY_PROFILE,
    metavar="NAME",
    help="A profile of the policy, made by an admin.",
)
@click.option("--entrypoint", type=params.TEXT, metavar="WORD")
@click.option(
    "--home",
    type=params.HOME,
    metavar="job|real",
    help="HOME: a directory that is removed with the job, or your own.",
)
@click.option("--tmp", type=click.Choice(["disk", "memory"]), help="Where /tmp is (disk).")
@click.option(
    "--ulimit",
    type=params.ULIMIT,
    multiple=True,
    metavar="NAME=SOFT[:HARD]",
    help="memlock, stack, nofile or nproc; -1: unlimited.",
)
@click.option(
    "--gpu-capabilities",
    type=params.CAPABILITIES,
    metavar="NAMES",
    help="Of NVIDIA's driver, beyond compute and utility: video,graphics.",
)
@click.option("--shm-size", type=params.SIZE, help="Size of /dev/shm (half of the memory).")
@click.option("-m", "--memory", type=params.SIZE, help="Memory limit: 24g.")
@click.option("--cpus", type=params.CPUS, help="Cores: 4, 0.5.")
@click.option("--pull", type=click.Choice(["always", "missing", "never"]), help="When to pull.")
@click.option(
    "--stop-timeout", type=params.TEXT, metavar="SECONDS", help="Grace when stopped (10)."
)
@docker_flags
@click.option("-q", "--quiet", is_flag=True, help="Say nothing of its waiting and starting.")
@click.option("--raw", is_flag=True, help="Every byte of the output, on a terminal too.")
@click.argument("image", type=params.IMAGE)
@click.argument("words", nargs=-1, type=params.TEXT, metavar="[--] [COMMAND]...")
def command(detach: bool, quiet: bool, raw: bool, detach_keys: bytes, **flags: Any) -> int:
    """Run one container on its own slice, stream its output, and return its exit code.

    The job waits in the queue until a slice is free. Without a GPU option it gets no GPU. Options
    stand before IMAGE or right behind it; `--` ends them. Ctrl-C goes to the container, a second
    one within 2 s cancels the job. If this command dies, the job goes on.

    With -it the job has this terminal, and Ctrl-C is a key of it; ctrl-p ctrl-q leaves it, and
    `launch attach` comes back. With -i stdin goes to the job.

    Exit status: the container's own; 124 time limit, 125 it never ran, 126 or 127 its command
    cannot run or is not found, 130 cancelled, 137 out of memory.
    """
    from launcher.cli.input.run_request import build

    check_array(flags, "launch run", detach=detach)
    if flags["tty"] and flags["interactive"] and not detach:
        must_be_terminal()
    mounts_are_elsewhere()
    request = build(flags)
    for note in notes(flags):
        terminal.say(f"note: {note}")
    with docker_codes():
        client = connect_or_start(quiet=quiet)
        wanted = credentials([request.image] if request.pull_policy != "never" else [])
        if request.gpus.count > 1 and not quiet:
            terminal.say("note: one process sees one MIG device; use one process per slice")
        if detach:
            return queued(client.submit([request], wanted))
        if request.stdin_open:
            from launcher.cli.foreground.interactive import run_interactively

            return run_interactively(client, request, wanted, detach_keys, quiet=quiet)
        from launcher.cli.foreground.running import run_in_foreground

        return run_in_foreground(client, request, wanted, quiet=quiet, raw=raw or request.tty)
