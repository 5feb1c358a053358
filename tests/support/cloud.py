"""A machine of a cloud: a network namespace for dockerd, and one for what the cloud serves."""

from __future__ import annotations

import secrets
import subprocess
from pathlib import Path
from types import TracebackType

OUTSIDE = "198.51.100.2"
METADATA, WIRE_SERVER, ALIBABA = "169.254.169.254", "168.63.129.16", "100.100.100.200"
SERVED = (OUTSIDE, METADATA, WIRE_SERVER, ALIBABA)
PORTS = (80, 53)


class Cloud:
    """A web server answers on every address that the cloud serves, on the ports 80 and 53."""

    def __init__(self, directory: Path) -> None:
        word = secrets.token_hex(3)
        self.machine, self.cloud = f"launcher-m-{word}", f"launcher-c-{word}"
        self.directory = directory
        self._servers: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Cloud:
        for name in (self.machine, self.cloud):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", self.machine, "link", "add", "eth0", "type", "veth",
           "peer", "name", "eth0", "netns", self.cloud)  # fmt: skip
        for name, addresses in (
            (self.machine, ("198.51.100.1/24", "169.254.0.1/16")),
            (self.cloud, (f"{OUTSIDE}/24", f"{METADATA}/16", WIRE_SERVER, ALIBABA)),
        ):
            for address in addresses:
                ip("-n", name, "address", "add", address, "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
        ip("-n", self.machine, "route", "add", "default", "via", OUTSIDE)
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "index.html").write_text("served\n")
        for port in PORTS:
            words = ["busybox", "httpd", "-f", "-p", str(port), "-h", str(self.directory)]
            self._servers.append(subprocess.Popen(["ip", "netns", "exec", self.cloud, *words]))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for server in self._servers:
            server.kill()
            server.wait()
        for name in (self.machine, self.cloud):
            ip("netns", "delete", name)

    @property
    def enter(self) -> list[str]:
        """The words that run a command in the machine's network."""
        return ["nsenter", f"--net=/run/netns/{self.machine}"]

    def iptables(self, *words: str) -> str:
        """Run iptables on the machine."""
        done = subprocess.run(
            [*self.enter, "iptables", "-w", *words], capture_output=True, text=True, check=True
        )
        return done.stdout


def ip(*words: str) -> None:
    """Run ip(8)."""
    subprocess.run(["ip", *words], check=True)
