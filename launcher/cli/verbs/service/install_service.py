"""``launch install-service``: write the units of a system service."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from launcher.cli.input import params
from launcher.cli.output import terminal

SYSTEM_UNITS = "/etc/systemd/system"
PAM_SERVICES = Path("/etc/pam.d")


@click.command("install-service", short_help="Write the units of a system service.")
@click.option("--group", type=params.TEXT, help="Only its members may use it; else all users.")
@click.option(
    "--directory", default=SYSTEM_UNITS, show_default=True, type=params.TEXT, help="Where to."
)
@click.option("--print", "only_print", is_flag=True, help="Print them, and write nothing.")
def command(group: str | None, directory: str, only_print: bool) -> None:
    """Write the units of the daemon and of its helpers.

    Into the system's own directory, also the PAM service of background host jobs, /etc/pam.d/
    launcher-host; one that is there already is kept.

    It starts nothing: what it says at the end does. Units that are there are replaced; what you
    change goes into `systemctl edit launcher`.
    """
    from launcher.errors import StateDirError
    from launcher.service.units import PAM, pam_service, units

    launch = Path(sys.argv[0]).absolute()
    result = units(launch, Path(sys.executable).absolute(), group)
    if only_print:
        for name, text in result.items():
            sys.stdout.write(f"# {name}\n{text}\n")
        return
    place = Path(directory)
    try:
        for name, text in result.items():
            (place / name).write_text(text)
            (place / name).chmod(0o644)
        pam = PAM_SERVICES / PAM
        if directory == SYSTEM_UNITS and PAM_SERVICES.is_dir() and not pam.exists():
            pam.write_text(pam_service())
            pam.chmod(0o644)
    except OSError as error:
        raise StateDirError(
            f"cannot write {error.filename or place}: {error.strerror}",
            fix="Run it as root, or name another --directory.",
        ) from error
    terminal.say(f"wrote {', '.join(result)} into {place}")
    terminal.say("now: systemctl daemon-reload && systemctl enable --now launcher.service")
