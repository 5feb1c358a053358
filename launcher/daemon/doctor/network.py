"""Which network jobs get, and whether they reach each other and the cloud's metadata address."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.daemon.doctor.docker import PATIENCE_SECONDS
from launcher.daemon.doctor.finding import Finding, ok, warning
from launcher.daemon.machine.job_network import firewall_state
from launcher.engine.connection import DockerConnection
from launcher.engine.containers import Containers
from launcher.engine.networks import JobNetwork
from launcher.errors import EngineError, EngineUnavailable
from launcher.network import INTERFACE, NETWORK
from launcher.network.firewall import FirewallState

NAME, METADATA = "network", "metadata"
UNIT = "launcher-network"
UNKNOWN = "unknown whether the firewall keeps jobs from the cloud's metadata address"
HELP = "`launch help containers` has the rules to make by hand."


def check(docker_host: str, system: bool, contained: bool) -> list[Finding]:
    """Check the network; ``contained``: the daemon itself runs in a container."""
    if not system:
        text = "jobs get Docker's default network: the daemon's user has access to Docker anyway"
        return [ok(NAME, text)]
    containers = Containers(DockerConnection(docker_host, PATIENCE_SECONDS))
    try:
        network = containers.networks.ensure()
        state = firewall_state(containers)
        backend = containers.firewall_backend()
    except (EngineUnavailable, EngineError):
        return []  # the checks of Docker report why
    return list(findings(network, state, backend, contained))


def findings(
    network: JobNetwork, state: FirewallState | None, backend: str | None, contained: bool
) -> Iterator[Finding]:
    """Yield the findings.

    ``state`` is None if unknown. ``backend`` is what Docker 29 and later report: "nftables" or
    "iptables", None from earlier ones.
    """
    if network.trouble is not None:
        text = f"jobs get Docker's default network and reach each other: {network.trouble}"
        yield warning(NAME, text, network.fix)
        return
    if not network.has_default:
        yield ok(NAME, "Docker has no default bridge (--bridge=none): no network is made for jobs")
        return
    nftables = backend is not None and "nftables" in backend
    isolation = None if state is None or nftables else state.isolation
    if isolation is not None:
        yield warning(
            NAME,
            f"jobs get the network {NETWORK}, but may reach each other there: {isolation}",
            "Let Docker manage iptables, and load br_netfilter (`modprobe br_netfilter`); then "
            "restart Docker.",
        )
    else:
        yield ok(NAME, f"jobs get the network {NETWORK}: they do not reach each other there")
    yield metadata(state, nftables, contained)


def metadata(state: FirewallState | None, nftables: bool, contained: bool) -> Finding:
    """Check whether jobs reach the cloud's metadata address, where its credentials are."""
    if state is not None and state.metadata is None:
        return ok(METADATA, f"the cloud's metadata address is blocked on {INTERFACE}")
    text = "jobs reach the cloud's metadata address, if this is a cloud's VM"
    if nftables:
        return warning(METADATA, f"{text}: Docker manages nftables, not iptables", HELP)
    if state is not None:
        fix = "Restart Docker." if state.managed else f"Block it in your own firewall: {HELP}"
        return warning(METADATA, f"{text}: {state.metadata}", fix)
    if contained:
        return warning(METADATA, f"{UNKNOWN}: a daemon in a container does not see it", HELP)
    return warning(
        METADATA,
        f"{UNKNOWN}: the unit {UNIT} has not run within the last minutes",
        f"`systemctl enable --now {UNIT}.timer` on a machine with systemd, after `launch "
        f"install-service`. Otherwise: {HELP}",
    )
