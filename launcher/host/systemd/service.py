"""The properties of a background job's service (systemd.service(5), systemd.exec(5))."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from launcher.host.helper.children import Command
from launcher.host.systemd.bus import Property

PAM = "launcher-host"
"""The PAM service of jobs; used where it is configured."""
PAM_DIRECTORY = Path("/etc/pam.d")
_EXEC_TYPE = 257
"""The version of systemd with which starts of Type=exec were seen to end: 252's last too long."""
_EXIT_TYPE = 250
"""The version of systemd from which on a service lasts until all its processes have ended."""
_CORE_DUMPED = 0x80


def properties_of_service(command: Command, stdin: int, version: int) -> list[Property]:
    """Return the properties of a service whose main process gets its command over ``stdin``.

    Its unit stays loaded when it has ended: only then its exit status is certain to be seen.
    The output's files are not systemd's: it has them open as long as the unit is loaded, and what
    reads them waits for their end.
    """
    words = [sys.executable, "-P", "-m", "launcher.host.systemd.become"]
    properties: list[Property] = [
        ("Type", ("s", "exec" if version >= _EXEC_TYPE else "simple")),
        ("ExecStartEx", ("a(sasas)", [(words[0], words, ["no-env-expand"])])),
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
    else:  # systemd leaves alone what the main process leaves behind
        properties += [("KillMode", ("s", "process")), ("SendSIGKILL", ("b", False))]
    return properties


def main_status(code: int, status: int) -> int | None:
    """Return the wait status that ExecMainCode and ExecMainStatus tell, None before the end."""
    if code == os.CLD_EXITED:
        return status << 8
    if code == os.CLD_DUMPED:
        return status | _CORE_DUMPED
    return status if code == os.CLD_KILLED else None
