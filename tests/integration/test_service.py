"""The service's units as systemd reads them, and a daemon on a socket that systemd made."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from launcher import Client
from launcher.service.units import sysusers, units
from tests.conftest import MakeDaemon
from tests.support.wait import wait_until

SERVICES = (
    "launcher.service",
    "launcher-pins.service",
    "launcher-output.service",
    "launcher-ports.service",
    "launcher-host.service",
    "launcher-network.service",
    "launcher-web.service",
)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """The units in a directory, with programs that are there."""
    for name, text in units(Path("/usr/bin/true"), Path("/usr/bin/true")).items():
        (tmp_path / name).write_text(text)
    return tmp_path


def analyze(*words: str) -> str:
    done = subprocess.run(
        ["systemd-analyze", *words], capture_output=True, text=True, check=False, timeout=60
    )
    return done.stdout + done.stderr


def test_systemd_understands_every_line_of_the_units(written: Path) -> None:
    told = analyze("verify", *(str(each) for each in sorted(written.iterdir())))
    ours = [line for line in told.splitlines() if "launcher" in line]
    assert ours == []


def test_the_daemon_is_shut_in_as_far_as_its_work_allows(written: Path) -> None:
    told = analyze("security", "--offline=yes", str(written / "launcher.service"))
    found = re.search(r"Overall exposure level for launcher.service: ([\d.]+)", told)
    assert found is not None, told
    assert float(found[1]) <= 3.3


def test_the_output_keeper_may_do_nothing_but_write_log_files(written: Path) -> None:
    told = analyze("security", "--offline=yes", str(written / "launcher-output.service"))
    found = re.search(r"Overall exposure level for launcher-output.service: ([\d.]+)", told)
    assert found is not None, told
    assert float(found[1]) <= 2.0


def test_the_forwarder_of_ports_may_enter_networks_and_reach_localhost_alone(written: Path) -> None:
    told = analyze("security", "--offline=yes", str(written / "launcher-ports.service"))
    found = re.search(r"Overall exposure level for launcher-ports.service: ([\d.]+)", told)
    assert found is not None, told
    assert float(found[1]) <= 3.0


def test_the_unit_for_the_firewall_may_change_the_network_and_nothing_else(written: Path) -> None:
    told = analyze("security", "--offline=yes", str(written / "launcher-network.service"))
    found = re.search(r"Overall exposure level for launcher-network.service: ([\d.]+)", told)
    assert found is not None, told
    assert float(found[1]) <= 3.0


def test_the_helper_for_host_jobs_is_shut_in_as_far_as_its_work_allows(written: Path) -> None:
    told = analyze("security", "--offline=yes", str(written / "launcher-host.service"))
    found = re.search(r"Overall exposure level for launcher-host.service: ([\d.]+)", told)
    assert found is not None, told
    assert float(found[1]) <= 2.5


def test_the_web_service_may_use_the_network_and_nothing_else(written: Path) -> None:
    told = analyze("security", "--offline=yes", str(written / "launcher-web.service"))
    found = re.search(r"Overall exposure level for launcher-web.service: ([\d.]+)", told)
    assert found is not None, told
    assert float(found[1]) <= 1.8


def test_systemd_would_make_the_user_of_the_web_service(tmp_path: Path) -> None:
    declared = tmp_path / "etc/sysusers.d/launcher-web.conf"
    declared.parent.mkdir(parents=True)
    declared.write_text(sysusers())
    done = subprocess.run(
        ["systemd-sysusers", "--dry-run", f"--root={tmp_path}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "Creating user 'launcher-web'" in done.stdout + done.stderr


def test_the_helper_has_no_mounts_of_its_own(written: Path) -> None:
    """What it mounts must be seen by dockerd: systemd.exec(5) names what would hide it."""
    text = (written / "launcher-pins.service").read_text()
    own = ("ProtectSystem", "ProtectHome", "Private", "ProtectKernel", "ProtectControlGroups",
           "ReadOnlyPaths", "ReadWritePaths", "InaccessiblePaths", "BindPaths", "RootDirectory",
           "TemporaryFileSystem", "ProtectProc", "ProcSubset", "MountFlags", "StateDirectory",
           "RuntimeDirectory", "DynamicUser")  # fmt: skip
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert [line for line in lines if line.startswith(own)] == []


def test_a_socket_that_systemd_made_is_served_and_left_at_the_end(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    daemon = make_daemon()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(daemon.socket))
    listener.listen()
    script = (
        "import os, sys; os.dup2(int(sys.argv[1]), 3, inheritable=True);"
        "os.environ |= {'LISTEN_FDS': '1', 'LISTEN_PID': str(os.getpid())};"
        "os.execv(sys.executable, [sys.executable, '-m', 'launcher', *sys.argv[2:]])"
    )
    words = ["serve", "--state-dir", str(daemon.state), "--config", str(daemon.config)]
    words += ["--docker-host", daemon.docker_host, "--fake-gpu", str(daemon.machine.directory)]
    fd = listener.fileno()
    with daemon.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(fd), *words],
            pass_fds=(fd,), env=daemon.environment, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        client = Client(str(daemon.socket))
        wait_until(lambda: client.status().state, timeout=20, what=daemon.tail())
        client.stop()
        assert process.wait(20) == 0
        assert daemon.socket.exists(), "it is systemd's, and starts the daemon at the next request"
        assert os.stat(daemon.socket).st_nlink == 1  # noqa: PTH116
    finally:
        process.kill()
        process.wait()
        listener.close()
