"""``launch install-service``: write the units of a system service."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from launcher.cli.input import params
from launcher.cli.output import terminal

SYSTEM_UNITS = "/etc/systemd/system"
PAM_SERVICES = Path("/etc/pam.d")
USERS_DIRECTORY = Path("/etc/sysusers.d")
ON_PATH = Path("/usr/local/bin/launch")
"""On every user's PATH and in sudo's secure_path, of Debian and Ubuntu."""


@click.command("install-service", short_help="Write the units of a system service.")
@click.option("--group", type=params.TEXT, help="Only its members may use it; else all users.")
@click.option(
    "--directory", default=SYSTEM_UNITS, show_default=True, type=params.TEXT, help="Where to."
)
@click.option("--print", "only_print", is_flag=True, help="Print them, and write nothing.")
def command(group: str | None, directory: str, only_print: bool) -> None:
    """Write the units of the daemon, of its helpers and of `launch web`.

    With the system's own directory it also writes the PAM service of background host jobs,
    /etc/pam.d/launcher-host, unless it exists, declares the user of `launch web` in
    /etc/sysusers.d/launcher-web.conf, and links /usr/local/bin/launch to this program, so that all
    users and sudo find it.

    It starts nothing: what it says at the end does. Units that are there are replaced; what you
    change goes into `systemctl edit launcher`.
    """
    from launcher.errors import StateDirError
    from launcher.service.units import units

    if group is not None:
        _check(group)
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
        if directory == SYSTEM_UNITS:
            _write_beside()
            _link(launch, ON_PATH)
    except OSError as error:
        raise StateDirError(
            f"cannot write {error.filename or place}: {error.strerror}",
            fix="Run it as root, or name another --directory.",
        ) from error
    terminal.say(f"wrote {', '.join(result)} into {place}")
    terminal.say("now: systemctl daemon-reload && systemctl enable --now launcher.service")
    terminal.say("for metrics: systemd-sysusers && systemctl enable --now launcher-web.service")
    terminal.say("after an upgrade: systemctl restart launcher-pins launcher; jobs go on")


def _write_beside() -> None:
    """Write what the units need in other directories of the system."""
    from launcher.service.units import PAM, SYSUSERS, pam_service, sysusers

    pam = PAM_SERVICES / PAM
    if PAM_SERVICES.is_dir() and not pam.exists():
        pam.write_text(pam_service())
        pam.chmod(0o644)
    USERS_DIRECTORY.mkdir(exist_ok=True)
    USERS_DIRECTORY.chmod(0o755)
    (USERS_DIRECTORY / SYSUSERS).write_text(sysusers())
    (USERS_DIRECTORY / SYSUSERS).chmod(0o644)


def _check(group: str) -> None:
    import grp

    from launcher.errors import UserError

    try:
        grp.getgrnam(group)
    except KeyError:
        raise UserError(
            f"there is no group {group!r} on this machine",
            fix=f"Make it, and add its members: `groupadd {group}`, `usermod -aG {group} USER`.",
        ) from None


def _link(launch: Path, place: Path) -> None:
    """Link the program, unless something else has the place."""
    if place.is_symlink():
        place.unlink()
    if place.exists() or launch == place:
        terminal.say(f"{place} exists and is kept; this program is {launch}")
        return
    place.symlink_to(launch)
    terminal.say(f"linked {place} to {launch}")
