"""``launch doctor`` where no daemon answers: every check that needs none, in the caller's name."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from launcher import wire
from launcher.config import settings
from launcher.config.settings import Config
from launcher.core.model.gpu import Inventory
from launcher.daemon.doctor import clocks, disks, docker, escapes, exits, gpus, nvml
from launcher.daemon.doctor.dockerd import HOOK
from launcher.daemon.doctor.finding import Finding, ok, problem, warning
from launcher.daemon.loop import clock
from launcher.daemon.loop.health import Health
from launcher.daemon.machine.devices import Devices
from launcher.daemon.machine.tools import Host, host_of
from launcher.engine.connection import DockerConnection
from launcher.engine.containers import Containers
from launcher.errors import ConfigError, GpuFault, GpuUnavailable
from launcher.gpu import GpuReader


def checks() -> list[wire.Check]:
    """Return the checks of Docker, GPUs, driver, tools and disk, as the caller may see them."""
    try:
        config = settings.load({})
    except ConfigError as error:
        return [problem("configuration", error.message, error.fix).line]
    return [finding.line for finding in _findings(config)]


def _findings(config: Config) -> Iterator[Finding]:
    host, reader = host_of(config), GpuReader(config.nvml_seconds)
    try:
        inventory, nvml_findings = _gpus(host, reader)
        containers = Containers(DockerConnection(config.docker_host, docker.PATIENCE_SECONDS))
        devices = Devices(reader, containers, Health())
        has_gpus = inventory is not None and bool(inventory.gpus)
        if (unusable := docker_socket(config.docker_host, host)) is not None:
            yield unusable
        else:
            yield from docker.check(config.docker_host, None, host, has_gpus, devices)
        yield from nvml_findings
    finally:
        reader.close()
    yield gpus.library(host, None if inventory is None else inventory.driver_version)
    yield toolkit(host)
    yield from exits.check(config.kernel_exit_status)
    yield disks.state(config.state_dir)
    yield clocks.check(clock.now().wall, clocks.synchronised())


def docker_socket(docker_host: str, host: Host) -> Finding | None:
    """Return why Docker's socket cannot be used; without docker-py, which leaks such sockets."""
    path = docker_host.removeprefix("unix://")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(docker.PATIENCE_SECONDS)
        try:
            probe.connect(path)
        except PermissionError:
            text = "you may not use Docker here; where a system daemon runs you need not"
            return warning(
                "docker", text, "Otherwise: `sudo usermod -aG docker $USER`, log in anew."
            )
        except OSError as error:
            text = f"cannot reach Docker at {docker_host}: {(error.strerror or str(error)).lower()}"
            if host.which("dockerd") or host.which("docker"):
                return problem("docker", text, "Start it: `sudo systemctl start docker`.")
            fix = "Install it: `sudo apt-get install docker.io`."
            return problem("docker", f"{text}; it is not installed", fix)
    return None


def toolkit(host: Host) -> Finding:
    """Check that NVIDIA's container toolkit is installed, and free of known escapes.

    Here, not in the daemon, which may run in a container without the machine's tools.
    """
    tools = (*escapes.TOOLKIT_COMMANDS, HOOK)
    if any(host.which(tool) for tool in tools):
        return escapes.toolkit(host)
    return problem("container-toolkit", f"not installed: no {', '.join(tools)}", docker.HOOK_FIX)


def _gpus(host: Host, reader: GpuReader) -> tuple[Inventory | None, list[Finding]]:
    """Return what NVML reports, and its findings; None if it reports nothing."""
    try:
        inventory = reader.inventory()
    except (GpuUnavailable, GpuFault) as error:
        return None, [problem("nvml", error.message, error.fix)]
    findings = [
        ok("nvml", f"NVML answers, {len(inventory.gpus)} GPU(s)"),
        *gpus.driver(inventory),
        *gpus.modes(inventory),
        *gpus.bare(inventory),
    ]
    if inventory.gpus:
        findings += nvml.check(host, reader, nvml.Seen(inventory, {}))
    return inventory, findings
