"""What ``launch doctor`` says of a machine on which nothing is installed yet."""

from __future__ import annotations

from pathlib import Path

from launcher.daemon.doctor.alone import docker_socket, toolkit
from launcher.daemon.machine.tools import Host


def test_what_is_not_installed_is_to_be_installed_not_started(tmp_path: Path) -> None:
    bare, socket = Host(tmp_path, str(tmp_path)), f"unix://{tmp_path}/docker.sock"
    found = docker_socket(socket, bare)
    assert found is not None
    assert (found.line.state, "apt-get install" in found.line.fix) == ("problem", True)
    assert toolkit(bare).line.message.startswith("not installed: no nvidia-ctk")

    for tool in ("dockerd", "nvidia-ctk"):
        (tmp_path / tool).write_text("#!/bin/sh\n")
        (tmp_path / tool).chmod(0o755)
    stopped = docker_socket(socket, bare)
    assert stopped is not None
    assert "systemctl start docker" in stopped.line.fix
    assert toolkit(bare).line.message.startswith("unknown")
