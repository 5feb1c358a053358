"""The properties of a background job's service (systemd.service(5), systemd.exec(5))."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from launcher.host.helper.children import Command
from launcher.host.systemd.bus import Property

PAM = "launcher-host"
"""The PAM service of jobs; used if it is configured."""
PAM_DIRECTORY = Path("/etc/pam.d")
_EXEC_TYPE = 257
"""The first version of systemd in which starts of Type=exec reliably end: 252's hang too long."""
_EXIT_TYPE = 250
"""The first version of systemd in which a service lasts until all its processes have ended."""
_CORE_DUMPED = 0x80


def properties_of_service(command: Command, stdin: int, version: int) -> list[Property]:
    """Return the properties of a service whose main process receives its command on ``stdin``.

    The unit stays loaded after its end; only then is its exit status certain to be available.
    systemd does not get the output's files: it would keep them open while the unit is loaded, and
    their readers wait for the end.
    """
    program = [sys.executable, "-P", "-m", "launcher.host.systemd.become"]
    properties: list[Property] = [
        ("Type", ("s", "exec" if version >= _EXEC_TYPE else "simple")),
        ("ExecStartEx", ("a(sasas)", [(program[0], program, ["no-env-expand"])])),
        ("RemainAfterExit", ("b", True)),
        ("User", ("s", str(command.uid))),
        ("Group", ("s", str(command.gid))),
        ("SupplementaryGroups", ("as", [str(gid) for gid in command.groups])),
        ("StandardInputFileDescriptor", ("h", stdin)),
        ("IgnoreSIGPIPE", ("b", False)),
        ("OOMPolicy", ("s", "continue")),
    ]
    if (PAM_DIRECTORY / PAM).exists():
        properties.append(("PAMName", ("s", PAM)))
    if version >= _EXIT_TYPE:
        properties.append(("ExitType", ("s", "cgroup")))
    else:  # systemd does not kill the remaining processes
        properties += [("KillMode", ("s", "process")), ("SendSIGKILL", ("b", False))]
    return properties


def main_status(code: int, status: int) -> int | None:
    """Return the wait status from ExecMainCode and ExecMainStatus, None before the end."""
    if code == os.CLD_EXITED:
        return status << 8
    if code == os.CLD_DUMPED:
        return status | _CORE_DUMPED
    return status if code == os.CLD_KILLED else None
