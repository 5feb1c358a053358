"""``launch layout apply``: make the layout that is asked for."""

from __future__ import annotations

import click

from launcher.cli.input.common import connect, output_option
from launcher.cli.input.layout_change import busy_options, follow, request
from launcher.cli.input.layout_specs import Asked, asked, asking_options, exact_options


@click.command("apply", short_help="Make the layout that is asked for.")
@asking_options
@exact_options
@busy_options
@output_option
def command(
    specs: tuple[str, ...],
    gpus: list[str],
    every: bool,
    file: str | None,
    config: str | None,
    exact: bool,
    enable: bool,
    waiting: bool,
    cancel_jobs: bool,
    output: str,
) -> int:
    """Make the layout that is asked for: the SPECs are the total wanted on each GPU.

    What fits already is kept, and what is not asked for stays, unless --exact removes it. Nothing
    in use is touched without --wait or --cancel-jobs. -f reads NVIDIA mig-parted's files, in YAML
    or JSON, and what `launch layout export -o json` printed; both may switch MIG mode too.

    Exit status: 0 applied and verified; 1 failed, with the present layout; 2 the layout is not
    possible, or selects no GPU of this machine: nothing was changed; 4 MIG mode takes effect after
    a reboot, after which the daemon completes the change by itself.
    """
    words, entries = asked(Asked(specs, gpus, every, file, config, exact, enable))
    client = connect()
    wanted = request("apply", words, entries, waiting=waiting, cancel_jobs=cancel_jobs)
    return follow(client, client.layout.change(wanted), output)
