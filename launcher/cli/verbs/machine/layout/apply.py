"""``launch layout apply``: make the layout that is asked for."""

from __future__ import annotations

import click

from launcher.cli.input.common import connect, output_option
from launcher.cli.input.layout_change import busy_options, follow, request
from launcher.cli.input.layout_specs import asked, asking_options


@click.command("apply", short_help="Make the layout that is asked for.")
@asking_options
@busy_options
@output_option
def command(
    specs: tuple[str, ...],
    gpu: str | None,
    file: str | None,
    config: str | None,
    exact: bool,
    waiting: bool,
    cancel_jobs: bool,
    output: str,
) -> int:
    """Make the layout that is asked for: the SPECs are the total wanted on the GPU.

    What fits already is kept, and what is not asked for stays, unless --exact removes it. Nothing
    in use is touched without --wait or --cancel-jobs. -f reads NVIDIA mig-parted's files; those may
    switch MIG mode too.

    Exit status: 0 applied and verified; 1 failed, with the present layout; 2 the layout is not
    possible, nothing was changed; 4 MIG mode takes effect after a reboot, after which the daemon
    completes the change by itself.
    """
    words, entries = asked(specs, gpu, file, config, exact=exact)
    client = connect()
    wanted = request("apply", words, entries, waiting=waiting, cancel_jobs=cancel_jobs)
    return follow(client, client.layout.change(wanted), output)
