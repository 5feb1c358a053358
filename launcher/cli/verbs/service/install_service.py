"""``launch install-service``: write the units of a system service, or take them away."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import click

from launcher.cli.input import params
from launcher.cli.output import terminal

SYSTEM_UNITS = "/etc/systemd/system"
PAM_SERVICES = Path("/etc/pam.d")
USERS_DIRECTORY = Path("/etc/sysusers.d")
TMPFILES_DIRECTORY = Path("/etc/tmpfiles.d")
ON_PATH = Path("/usr/local/bin/launch")
"""On every user's PATH and in sudo's secure_path, of Debian and Ubuntu."""


@click.command("install-service", short_help="Write the units of a system service.")
@click.option("--group", type=params.TEXT, help="Only its members may use it; else all users.")
@click.option(
    "--directory", default=SYSTEM_UNITS, show_default=True, type=params.TEXT, help="Where to."
)
@click.option("--print", "only_print", is_flag=True, help="Print them, and write nothing.")
@click.option("--uninstall", is_flag=True, help="Stop the units and remove what was written.")
def command(group: str | None, directory: str, only_print: bool, uninstall: bool) -> None:
    """Write the units of the daemon, of its helpers and of `launch web`.

    With the system's own directory it also writes the PAM service of background host jobs,
    /etc/pam.d/launcher-host, unless it exists. It declares the user of `launch web` in
    /etc/sysusers.d/launcher-web.conf and the directories in /etc/tmpfiles.d/launcher.conf. It links
    /usr/local/bin/launch to this program, so that all users and sudo find it.

    It starts nothing: what it says at the end does. Units that are there are replaced; what you
    change goes into `systemctl edit launcher`.

    --uninstall stops and disables the units and removes all of that. Containers of running jobs go
    on, and the database, the logs and the configuration stay.
    """
    from launcher.service.units import units

    if group is not None:
        _check(group)
    launch = Path(sys.argv[0]).absolute()
    if uninstall:
        if group is not None or only_print:
            raise click.UsageError("--uninstall cannot be used with --group or --print.")
        _uninstall(Path(directory), launch)
        return
    result = units(launch, Path(sys.executable).absolute(), group)
    if only_print:
        for name, text in result.items():
            sys.stdout.write(f"# {name}\n{text}\n")
        return
    _install(result, directory, launch)


def _install(result: Mapping[str, str], directory: str, launch: Path) -> None:
    """Write the units into a directory, and what belongs to them beside it."""
    from launcher.errors import StateDirError

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
    from launcher.service.units import PAM, pam_service

    pam = PAM_SERVICES / PAM
    if PAM_SERVICES.is_dir() and not pam.exists():
        pam.write_text(pam_service())
        pam.chmod(0o644)
    for place, text in _declarations().items():
        if not place.parent.is_dir():
            place.parent.mkdir()
            place.parent.chmod(0o755)
        place.write_text(text)
        place.chmod(0o644)


def _declarations() -> dict[Path, str]:
    """Return what systemd-sysusers and systemd-tmpfiles read, by its place."""
    from launcher.service.units import SYSUSERS, TMPFILES, sysusers, tmpfiles

    return {USERS_DIRECTORY / SYSUSERS: sysusers(), TMPFILES_DIRECTORY / TMPFILES: tmpfiles()}


def _uninstall(place: Path, launch: Path) -> None:
    """Stop the units of a directory, and remove what was written there and beside it."""
    from launcher.errors import StateDirError
    from launcher.service import uninstall
    from launcher.service.units import PAM, pam_service

    is_system = str(place) == SYSTEM_UNITS
    try:
        if is_system:
            uninstall.stop_units(place)
        gone = list(uninstall.remove_units(place))
        if is_system:
            written = {**_declarations(), PAM_SERVICES / PAM: pam_service()}
            gone += [at for at, text in written.items() if uninstall.remove_if_unchanged(at, text)]
            if ON_PATH.is_symlink() and ON_PATH.readlink() == launch:
                ON_PATH.unlink()
                gone.append(ON_PATH)
            uninstall.reload()
    except OSError as error:
        raise StateDirError(
            f"cannot remove {error.filename or place}: {error.strerror}",
            fix="Run it as root, or name another --directory.",
        ) from error
    terminal.say(f"removed {', '.join(map(str, gone))}" if gone else f"no units are in {place}")
    if gone:
        terminal.say("containers of running jobs go on; /var/lib/launcher and /etc/launcher stay")


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
