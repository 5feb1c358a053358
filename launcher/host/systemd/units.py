"""Jobs' cgroups with systemd: a transient unit for each job, in a slice of their own.

A foreground job is a scope, a background job a service. Neither depends on the helper or the
daemon. systemd removes a unit's cgroup once it is empty.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from pathlib import Path

from launcher.host.cgroup import Cgroup, CgroupLimits
from launcher.host.helper.children import Command, CommandFiles
from launcher.host.places import Begins, End, Started
from launcher.host.systemd.bus import Property, Systemd, SystemdError, ignored_if_gone, systemd
from launcher.host.systemd.handover import hand_over, property_of, why_not_started
from launcher.host.systemd.service import main_status, properties_of_service

log = logging.getLogger(__name__)

BOOTED = Path("/run/systemd/system")
"""Exists if systemd is the init system (sd_booted(3))."""
SLICE = "launcher.slice"
KINDS = (".scope", ".service")
JOIN_SECONDS, SPAWN_SECONDS, ASK_SECONDS = 8.0, 15.0, 10.0
"""Time limits for systemd: to create a scope, to start a service, for any other reply.

Clients that join wait longer (``joining.SECONDS``), and so does the daemon (``client.SECONDS``).
"""
_UNLIMITED = 2**64 - 1
_OOM_POLICY_OF_SCOPES = 253
"""The first version of systemd with OOMPolicy= for scopes."""


class SystemdPlaces:
    """Transient units of the system's systemd."""

    waits = True

    def __init__(self, root: Path) -> None:
        """Raises ``OSError`` if systemd does not answer."""
        self._root = root
        with systemd(ASK_SECONDS) as bus:
            self._prefix = str(bus.property("ControlGroup"))
            self._version = _number(str(bus.property("Version")))

    def cgroup(self, name: str) -> Cgroup:
        """Return the cgroup of a job's unit; if there is none, the one a scope would have."""
        folder = self._at(f"{self._prefix}/{SLICE}")
        cgroup = [folder / (unit_of(name) + kind) for kind in KINDS]
        return Cgroup(next((path for path in cgroup if path.exists()), cgroup[0]))

    def join(self, name: str, pid: int, limits: CgroupLimits) -> Cgroup:
        """Return the cgroup of a job's new scope, with the process in it."""
        unit = f"{unit_of(name)}.scope"
        properties = [*_common(name, limits), ("PIDs", ("au", [pid]))]
        if self._version >= _OOM_POLICY_OF_SCOPES:
            properties.append(("OOMPolicy", ("s", "continue")))
        try:
            with systemd(JOIN_SECONDS) as bus:
                return self._started(bus, unit, properties)
        except BaseException:
            _forget(unit)
            raise

    def spawn(
        self,
        name: str,
        command: Command,
        limits: CgroupLimits,
        files: CommandFiles,
        begins: Begins,
    ) -> Started:
        """Start a command as the main process of a service."""
        unit = f"{unit_of(name)}.service"
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        properties = _common(name, limits)
        properties += properties_of_service(command, theirs.fileno(), self._version)
        try:
            with ours, theirs, systemd(SPAWN_SECONDS) as bus:
                cgroup = self._started(bus, unit, properties)
                theirs.close()
                pid = hand_over(bus, unit, command, ours, files, lambda pid: begins(pid, cgroup))
        except BaseException:
            _forget(unit)
            raise
        return Started(pid, cgroup, is_child=False)

    def end(self, name: str, *, of_spawned: bool) -> End:
        """Return the end as systemd recorded it; a scope's unit may be gone already."""
        unit, status, oom = unit_of(name) + KINDS[of_spawned], None, False
        try:
            with systemd(ASK_SECONDS) as bus:
                if of_spawned:
                    code = int(property_of(bus, unit, "ExecMainCode"))
                    status = main_status(code, int(property_of(bus, unit, "ExecMainStatus")))
                with ignored_if_gone():
                    oom = property_of(bus, unit, "Result") == "oom-kill"
        except OSError as error:
            log.warning("cannot find out how %s ended: %s", name, error)
        return End(status, oom)

    def names(self, prefix: str) -> list[str]:
        """Return the names with this prefix of the jobs whose units are loaded."""
        with systemd(ASK_SECONDS) as bus:
            units = bus.units(f"{unit_of(prefix)}*")
        return [unit.removeprefix(unit_of("")).rpartition(".")[0] for unit in units]

    def remove(self, name: str, cgroup: Cgroup) -> None:
        """Unload a job's unit, and remove its cgroup."""
        with systemd(ASK_SECONDS) as bus:
            for kind in KINDS:
                bus.forget(unit_of(name) + kind)
        with contextlib.suppress(OSError):  # systemd may be removing it
            cgroup.remove()

    def _started(self, bus: Systemd, unit: str, properties: list[Property]) -> Cgroup:
        result = bus.start(unit, properties)
        place = str(property_of(bus, unit, "ControlGroup")) if result == "done" else ""
        if not place:
            raise SystemdError(result, why_not_started(bus, unit, result))
        return Cgroup(self._at(place))

    def _at(self, place: str) -> Path:
        return self._root / place.strip("/")


def unit_of(name: str) -> str:
    """Return the name of a job's unit, without its kind: launcher-host-..."""
    return f"launcher-{name}"


def _common(name: str, limits: CgroupLimits) -> list[Property]:
    properties: list[Property] = [
        ("Description", ("s", f"launcher: host job {name}")),
        ("Slice", ("s", SLICE)),
        ("TasksMax", ("t", _UNLIMITED)),  # the default is 15 % of the system's limit
        *((f"{what}Accounting", ("b", True)) for what in ("CPU", "Memory", "IO")),
    ]
    if limits.memory is not None:
        properties += [("MemoryMax", ("t", limits.memory)), ("MemorySwapMax", ("t", 0))]
    if limits.cpus is not None:
        properties.append(("CPUQuotaPerSecUSec", ("t", round(limits.cpus * 1_000_000))))
    return properties


def _forget(unit: str) -> None:
    """Unload a unit whose start failed."""
    try:
        with systemd(ASK_SECONDS) as bus:
            bus.forget(unit)
    except OSError as error:
        log.warning("cannot unload %s after its failed start: %s", unit, error)


def _number(version: str) -> int:
    digits = "".join(char if char.isdecimal() else " " for char in version).split()
    return int(digits[0]) if digits else 0
