"""The units with this installation's paths filled in."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from launcher.errors import UserError

NAMES = (
    "launcher.service",
    "launcher.socket",
    "launcher-pins.service",
    "launcher-pins.socket",
    "launcher-output.service",
    "launcher-output.socket",
    "launcher-ports.service",
    "launcher-ports.socket",
    "launcher-host.service",
    "launcher-host.socket",
    "launcher-host-users.socket",
    "launcher-network.service",
    "launcher-network.timer",
    "launcher-web.service",
)
SYSUSERS = "launcher-web.conf"
"""The user of launcher-web.service, for systemd-sysusers(8)."""
TMPFILES = "launcher.conf"
"""The directories of the launcher, for systemd-tmpfiles(8)."""
PAM = "launcher-host"
"""The PAM service of background host jobs (launcher.host.systemd.service)."""
HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")
"""What the daemon's unit does not see (ProtectHome=, PrivateTmp=; systemd.exec(5))."""


def units(launch: Path, python: Path, group: str | None = None) -> dict[str, str]:
    """Return the text of each unit by its name.

    ``launch`` and ``python`` are this installation's; ``group``: whose members may ask, None for
    everybody. Raises ``UserError`` where systemd could not run them.
    """
    for program in (launch, python):
        _must_be_seen(program)
    fill = {
        "@launch@": str(launch),
        "@python@": str(python),
        "@mode@": "0666" if group is None else "0660",
        "@group@": group or "root",
    }
    result = {}
    for name in NAMES:
        text = resources.files(__package__).joinpath("systemd", name).read_text("utf-8")
        for mark, value in fill.items():
            text = text.replace(mark, value)
        result[name] = text
    return result


def pam_service() -> str:
    """Return the text of the PAM service of background host jobs."""
    return resources.files(__package__).joinpath("pam", PAM).read_text("utf-8")


def sysusers() -> str:
    """Return the declaration of the user of launcher-web.service."""
    return resources.files(__package__).joinpath("sysusers", SYSUSERS).read_text("utf-8")


def tmpfiles() -> str:
    """Return the declaration of the launcher's directories."""
    return resources.files(__package__).joinpath("tmpfiles", TMPFILES).read_text("utf-8")


def _must_be_seen(program: Path) -> None:
    for place in {program, program.resolve()}:
        hidden = next((h for h in HIDDEN if place.is_relative_to(h)), None)
        if hidden is not None:
            raise UserError(
                f"{program} is below {hidden}, which the service does not see",
                fix="Install it elsewhere, with the system's Python, such as in /opt/launcher.",
            )
    if any(letter in str(program) for letter in " %\\\"'$\n"):
        raise UserError(
            f"{program}: a unit cannot name this path", fix="Install it in a path of plain letters."
        )
