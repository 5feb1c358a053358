"""The daemon's client of the forwarder, safe in any thread. It starts a missing forwarder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.companion import Companion


@dataclass(frozen=True, slots=True)
class PortTarget:
    """The container of one attempt: its ports, its main process, and who may reach it.

    ``address`` is that in Docker's network, "" without one. ``loopback`` is a range of ports of
    127.0.0.1, of which each port gets one.
    """

    name: str
    uid: int
    pid: int
    container: str
    address: str
    ports: tuple[int, ...]
    loopback: tuple[int, int] | None = None


class PortForwarder:
    """A forwarder on the socket of its systemd unit, or one of this daemon in ``state``.

    The sockets of ports are made in ``directory``. Every method raises ``OSError``.
    """

    def __init__(self, state: Path, directory: Path, systemd_socket: str | None = None) -> None:
        words = ("--directory", str(directory))
        self._companion = Companion(state, "ports", "launcher.ports", systemd_socket, words)

    def forward(self, target: PortTarget) -> Sequence[dict[str, Any]]:
        """Open the ports of an attempt until its container ends, or return those that are open."""
        request = {
            "do": "forward",
            "name": target.name,
            "uid": target.uid,
            "pid": target.pid,
            "container": target.container,
            "address": target.address,
            "ports": list(target.ports),
            "loopback": target.loopback,
        }
        result: Sequence[dict[str, Any]] = self._companion.request(request)["ports"]
        return result

    def open(self) -> dict[str, Any]:
        """Return the open ports by the names of their attempts."""
        result: dict[str, Any] = self._companion.request({"do": "list"})["open"]
        return result
