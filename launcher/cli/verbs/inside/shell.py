"""``launch shell``: a shell on a slice of its own."""

from __future__ import annotations

from typing import Any

import click

from launcher.cli.input import params
from launcher.cli.input.common import connect_or_start, credentials, docker_codes
from launcher.cli.input.docker_flags import detach_keys_option, must_be_terminal

SHELL = ("sh", "-c", "command -v bash >/dev/null && exec bash || exec sh")


@click.command("shell", short_help="Open a shell on a slice of its own.")
@click.option("--profile", type=params.ANY_PROFILE, help="The slice's profile: 1g.6gb.")
@click.option("--gpus", type=params.SPEC, metavar="SPEC", help="All in one: 1g.6gb:2, full, …")
@click.option("-t", "--time", "time_limit", type=params.TIME_LIMIT, help="Time limit: 4h, 90m.")
@click.option("-m", "--memory", type=params.SIZE, help="Memory limit: 24g.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing of its waiting and starting.")
@detach_keys_option
@click.argument("image", type=params.IMAGE, required=False)
def command(image: str | None, quiet: bool, detach_keys: bytes, **flags: Any) -> int:
    """Open a shell in IMAGE, or in the image that the admin chose, as `launch run -it` does.

    `launch run -it` has more options. ctrl-p ctrl-q leaves the shell, and `launch attach` comes
    back.
    """
    must_be_terminal()
    from launcher.cli.foreground.interactive import run_interactively
    from launcher.cli.input.run_request import gpus_of
    from launcher.spec.job_spec import JobSpec

    with docker_codes():
        client = connect_or_start(quiet=quiet)
        request = JobSpec(
            name="shell",
            image=image or client.status().shell_image,
            command=SHELL,
            gpus=gpus_of(flags | {"count": None, "gpu_memory": None, "gpu_capabilities": None}),
            time_limit=flags["time_limit"],
            mem_limit=flags["memory"],
            tty=True,
            stdin_open=True,
        )
        return run_interactively(
            client, request, credentials([request.image]), detach_keys, quiet=quiet
        )
