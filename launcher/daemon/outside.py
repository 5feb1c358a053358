"""The daemon's interfaces to the machine, as found on this one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from launcher import passed_fds
from launcher.config.settings import Config
from launcher.daemon.access.job_ports import JobPorts
from launcher.daemon.access.terminals import Terminals
from launcher.daemon.attempts import host_jobs
from launcher.daemon.attempts.exit_witness import ExitWitness
from launcher.daemon.loop.sd_notify import Notifier
from launcher.daemon.mounts import mounts
from launcher.daemon.mounts.homes import Homes, homes_of
from launcher.engine.attach import ContainerTerminals
from launcher.engine.connection import DockerConnection
from launcher.engine.containers import Containers
from launcher.engine.image_files import ImageFiles
from launcher.engine.images import Images
from launcher.engine.logs import Logs
from launcher.gpu import Events, GpuReader
from launcher.host.terminal.connecting import TerminalSockets
from launcher.mount_helper import Pins
from launcher.output.keeper_client import OutputKeeper
from launcher.ports.client import PortForwarder


@dataclass(frozen=True, slots=True)
class Outside:
    """The daemon's interfaces: one Docker and the machine's GPUs; a simulation has its own."""

    containers: Containers
    images: Images
    logs: Logs
    gpu: GpuReader
    pins: Pins
    image_files: ImageFiles
    homes: Homes
    events: Events | None = None
    keeper: OutputKeeper | None = None
    witness: ExitWitness = field(default_factory=lambda: ExitWitness(blind=True))
    host: host_jobs.HostMachine | None = None
    terminals: Terminals | None = None
    ports: JobPorts | None = None

    @classmethod
    def of(cls, config: Config) -> Outside:
        """Return the interfaces of this machine."""
        connection = DockerConnection(config.docker_host, config.docker_timeout_seconds)
        gpu = GpuReader(config.nvml_seconds)
        engine = (Containers(connection), Images(connection), Logs(connection))
        keeper = OutputKeeper(config.state_dir, config.output_socket)
        witness = ExitWitness(
            statuses=config.kernel_exit_status,
            notifier=Notifier(),
            stored=passed_fds.stored(),
            set_frozen=host_jobs.set_frozen_of(config),
        )
        sockets = TerminalSockets(config.state_dir / "terminals")
        pins, host = mounts.pins_of(config), host_jobs.machine_of(config, sockets)
        image_files = ImageFiles(connection, engine[1])
        homes = homes_of(config, pins)
        commands = ContainerTerminals(connection)
        terminals = Terminals(keeper, commands, sockets, config.state_dir / "logs")
        directory = Path(config.ports_directory or config.socket.parent / "ports")
        forwarder = PortForwarder(config.state_dir, directory, config.ports_socket)
        return cls(
            *engine, gpu, pins, image_files, homes, Events(gpu), keeper, witness, host, terminals,
            JobPorts(forwarder, engine[0], config.rules.ports.loopback),
        )  # fmt: skip
