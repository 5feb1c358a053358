"""``launch attach``: the terminal of a running job, again."""

from __future__ import annotations

import click

from launcher.cli.input import params
from launcher.cli.input.common import connect, docker_codes
from launcher.cli.input.docker_flags import detach_keys_option


@click.command("attach", short_help="Go back to the terminal of a running job.")
@click.option("--take", is_flag=True, help="Write to it, and part whoever writes to it now.")
@click.option("--watch", is_flag=True, help="Only watch.")
@detach_keys_option
@click.argument("ref", type=params.LIVE_JOB, metavar="JOB")
def command(ref: str, take: bool, watch: bool, detach_keys: bytes) -> int:
    """Attach this terminal to a job that was started with -it, or stdin to one with -i.

    One client writes to it, others watch. ctrl-p ctrl-q leaves it, and the job goes on. A job that
    is not interactive is followed as by `launch run`: Ctrl-C goes to it. `launch logs -f` only
    reads.

    Exit status: the job's own, 0 when left.
    """
    from launcher.cli.foreground.interactive import attach_again

    with docker_codes():
        return attach_again(connect(), ref, detach_keys, take=take, watch=watch)
