"""The Docker network of ordinary users' jobs, whose containers do not reach each other."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from launcher.engine.connection import DockerConnection
from launcher.engine.outcome import Refusal, Refused
from launcher.network import INTERFACE, NETWORK

DEFAULT = "bridge"
LABEL = "launcher.network"
_OPTIONS = {
    "com.docker.network.bridge.enable_icc": "false",
    "com.docker.network.bridge.name": INTERFACE,
}
_AS_DEFAULT = ("com.docker.network.driver.mtu", "com.docker.network.bridge.enable_ip_masquerade")
"""Options that the default bridge's admin may have set for a reason: its own are taken over."""


@dataclass(frozen=True, slots=True)
class JobNetwork:
    """``name`` is the network of jobs, None where they get Docker's default.

    ``has_default``: whether Docker has a default bridge. ``trouble``: why the network is not used
    although it could be, and ``fix`` what to do.
    """

    name: str | None
    has_default: bool = True
    trouble: str | None = None
    fix: str | None = None


NO_NETWORK = JobNetwork(None, has_default=False)


class Networks:
    """Makes the network where Docker has a default bridge; remembers what it found."""

    def __init__(self, connection: DockerConnection) -> None:
        self._connection = connection
        self._known: JobNetwork | None = None
        self._looking = threading.Lock()

    def of_one_start(self) -> Callable[[], str | None]:
        """Return a function that answers ``of_jobs`` always the same, for one start's checks."""
        return functools.cache(self.of_jobs)

    def of_jobs(self) -> str | None:
        """Return the name of the network as last seen, None for Docker's default.

        Looks at Docker only if that is unknown. Raises ``EngineUnavailable``, ``Refused`` or
        ``Unknown``.
        """
        known = self._known
        return (known or self.ensure()).name

    def of_next_start(self) -> Callable[[], str | None]:
        """Forget what was seen, since somebody removed the network; return as ``of_one_start``."""
        self._known = None
        return self.of_one_start()

    def ensure(self) -> JobNetwork:
        """Make the network if it is missing, and remember what is there. Raises as ``of_jobs``."""
        with self._looking:
            self._known = found = self.look() or self._make()
        return found

    def look(self) -> JobNetwork | None:
        """Return what Docker has, None if the network is missing; changes nothing."""
        if self._inspect(DEFAULT) is None:
            return NO_NETWORK
        info = self._inspect(NETWORK)
        if info is None:
            return None
        faults = network_faults(info)
        if not faults:
            return JobNetwork(NETWORK)
        return JobNetwork(
            None,
            trouble=f"Docker has a network {NETWORK} that is not the launcher's: {faults[0]}",
            fix=f"Remove it, the launcher makes its own: `docker network rm {NETWORK}`.",
        )

    def _inspect(self, name: str) -> dict[str, Any] | None:
        try:
            with self._connection.borrow() as api:
                result: dict[str, Any] = api.inspect_network(name)
        except Refused as refused:
            if refused.refusal is Refusal.MISSING:
                return None
            raise
        return result if result.get("Name") == name else None  # it may be a part of an id

    def _make(self) -> JobNetwork:
        default = (self._inspect(DEFAULT) or {}).get("Options") or {}
        taken_over = {name: default[name] for name in _AS_DEFAULT if name in default}
        try:
            with self._connection.borrow() as api:
                api.create_network(
                    NETWORK,
                    driver="bridge",
                    options={**taken_over, **_OPTIONS},
                    labels={LABEL: "1"},
                    check_duplicate=True,
                )
        except Refused as refused:
            if (found := self.look()) is not None:  # another daemon was faster
                return found
            return JobNetwork(
                None,
                trouble=f"Docker cannot make the network {NETWORK}: {refused.message}",
                fix="Look at `docker network ls` and the log of dockerd.",
            )
        return JobNetwork(NETWORK)


def network_faults(info: dict[str, Any]) -> list[str]:
    """Return how a network differs from the one that jobs may get (GET /networks/{id})."""
    options = info.get("Options") or {}
    faults = [] if LABEL in (info.get("Labels") or {}) else [f"it has no label {LABEL}"]
    faults += [] if info.get("Driver") == "bridge" else [f"its driver is {info.get('Driver')}"]
    faults += [
        f"its option {name} is {options.get(name)}"
        for name, value in _OPTIONS.items()
        if options.get(name) != value
    ]
    return faults + (["it has IPv6"] if info.get("EnableIPv6") else [])


def is_network_missing(message: str) -> bool:
    """Whether Docker refused a container because the network is gone."""
    return f"network {NETWORK} not found" in message.lower()
