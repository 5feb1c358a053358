"""Keeps the network of jobs in place, and where this process may, the firewall's rules for it."""

from __future__ import annotations

from launcher.daemon.loop.health import Health
from launcher.engine.containers import Containers
from launcher.errors import EngineError, EngineUnavailable
from launcher.network import firewall, state_file
from launcher.network.firewall import FirewallState

TOPIC = "network"


def keep_network(containers: Containers, health: Health) -> None:
    """Make what is missing; blocks. Nothing happens while Docker does not answer."""
    try:
        network = containers.networks.ensure()
        own = network.name is not None and has_firewall(containers)
    except (EngineUnavailable, EngineError):
        return
    trouble = network.trouble
    if network.name is not None:
        state = firewall.apply() if own else state_file.read()
        trouble = state.metadata if state is not None and state.failed else None
    health.set(TOPIC, trouble)


def has_firewall(containers: Containers) -> bool:
    """Whether this process may change the firewall that dockerd uses.

    Raises ``EngineUnavailable``, ``Refused`` or ``Unknown``.
    """
    if not firewall.may_change():
        return False
    dockerd = containers.incarnation()
    return dockerd is not None and firewall.shares_network_with(dockerd.pid)


def firewall_state(containers: Containers) -> FirewallState | None:
    """Return what holds of the firewall, None if this process can neither look nor read it.

    Raises as ``has_firewall``.
    """
    return firewall.look() if has_firewall(containers) else state_file.read()
