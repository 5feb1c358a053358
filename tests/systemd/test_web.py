"""`launch web` as its unit runs it: a user of its own, the network, and nothing else."""

from __future__ import annotations

import pwd
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.config.web import WEB_USER
from tests.support.wait import wait_until
from tests.systemd.conftest import LAUNCH, UNITS, as_user, is_active, systemctl

UNIT = "launcher-web.service"
LOG = Path("/run/launcher-web-test.log")
DROP_IN = UNITS / f"{UNIT}.d/test.conf"
"""The machine of the tests has this system's network, in which port 8080 may be taken."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    subprocess.run(["systemd-sysusers"], check=True, timeout=60)
    DROP_IN.parent.mkdir(exist_ok=True)
    command = f"ExecStart=\nExecStart={LAUNCH} web --listen 127.0.0.1:0\n"
    DROP_IN.write_text(f"[Service]\n{command}StandardError=truncate:{LOG}\n")
    systemctl("daemon-reload")
    subprocess.run(["systemctl", "start", UNIT], check=False, timeout=60)
    yield wait_until(address, 30, subprocess.getoutput(f"systemctl status {UNIT}; cat {LOG}"))
    systemctl("stop", UNIT)
    DROP_IN.unlink()


def address() -> str | None:
    found = re.search(r"listening on (http://\S+)", LOG.read_text()) if LOG.exists() else None
    return None if found is None else found[1]


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as reply:
        text: str = reply.read().decode()
        return text


def test_it_serves_the_metrics_of_the_daemon_as_its_own_user(url: str) -> None:
    assert "launcher_up 1.0\n" in get(f"{url}/metrics")
    assert 'launcher_slices{profile="1g.6gb",state="free"} 4.0' in get(f"{url}/metrics")
    pid = systemctl("show", "--property=MainPID", "--value", UNIT)
    status = Path(f"/proc/{pid}/status").read_text()
    uid = pwd.getpwnam(WEB_USER).pw_uid
    assert f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}\n" in status
    assert "CapBnd:\t0000000000000000\n" in status


def test_its_user_may_submit_nothing(url: str, tmp_path: Path) -> None:
    words = as_user(WEB_USER, LAUNCH, "run", "--pull", "never", "busybox", "true")
    done = subprocess.run(words, cwd="/", capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    assert f"{WEB_USER} is an observer" in done.stderr


def test_it_outlives_a_restart_of_the_daemon(url: str) -> None:
    systemctl("restart", "launcher.service")
    wait_until(lambda: "launcher_up 1.0\n" in get(f"{url}/metrics"), 30)
    assert is_active(UNIT)
