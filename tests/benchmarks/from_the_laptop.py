"""``launch ps`` here, and through ssh on loopback: over a shared connection, and over its own.

``python -m tests.benchmarks.from_the_laptop``, as root; in alternating rounds of one run.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from launcher.fakegpu import Machine
from launcher.fakegpu.sandbox import Sandbox
from tests.acceptance.shell import LAUNCH
from tests.support.daemon import DaemonProcess
from tests.support.sshd import Sshd

ROUNDS = 25
MASTER = "  ControlMaster auto\n  ControlPath {place}/m\n  ControlPersist 60\n"
Command = tuple[list[str], Mapping[str, str]]


def timed(command: Command) -> float:
    """Return how many milliseconds a command takes."""
    since = time.perf_counter()
    subprocess.run(command[0], env=command[1], check=True, capture_output=True)
    return (time.perf_counter() - since) * 1e3


def rounds(commands: Mapping[str, Command]) -> None:
    """Print the median of each command, and its ratio to the first one."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            times[name].append(timed(command))
    first = median(next(iter(times.values())))
    for name, values in times.items():
        print(f"{name}: {median(values):.0f} ms, {median(values) / first:.2f}")


def main() -> None:
    """Measure against a daemon with a fake GPU."""
    with tempfile.TemporaryDirectory() as name, Sandbox(Path(name) / "sandbox") as sandbox:
        machine = Machine.create(Path(name) / "machine", "A30:1g.6gb*4")
        daemon = DaemonProcess(sandbox.docker_host, machine, Path(name) / "state").start()
        vm = Sshd(daemon.socket)
        try:
            here = daemon.environment
            there = {k: v for k, v in here.items() if k != "LAUNCHER_SOCKET"}
            there |= {"LAUNCHER_HOST": "ssh://vm", "PATH": vm.path}
            ps, ssh = [LAUNCH, "ps"], ["ssh", "vm", "true"]
            commands = {"launch ps": (ps, here), "over ssh": (ps, there), "ssh true": (ssh, there)}
            rounds(commands)
            print("with ControlMaster:")
            vm.configure(MASTER.format(place=vm.place))
            vm.ssh("vm", "true")
            rounds(commands)
            vm.ssh("-O", "exit", "vm")
        finally:
            vm.close()
            daemon.close()


if __name__ == "__main__":
    main()
