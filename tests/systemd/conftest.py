"""The installed service with a fake GPU, and its users."""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launcher import Client
from launcher.errors import LauncherError
from launcher.host.client import HostHelper
from tests.support.wait import wait_until

LAUNCH = "/opt/launcher/bin/launch"
UNITS = Path("/etc/systemd/system")
DROP_IN = UNITS / "launcher.service.d/test.conf"
HELPER_SOCKET = "/run/launcher/host.sock"
USER = "dev"


def systemctl(*words: str) -> str:
    """Return what systemctl says; raises ``CalledProcessError``."""
    done = subprocess.run(
        ["systemctl", *words], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def is_active(unit: str) -> bool:
    done = subprocess.run(["systemctl", "is-active", "--quiet", unit], check=False, timeout=60)
    return done.returncode == 0


def as_user(*words: str) -> list[str]:
    """Return a command that the ordinary user runs."""
    user = pwd.getpwnam(USER)
    ids = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--init-groups"]
    return ["setpriv", *ids, "env", f"HOME={user.pw_dir}", *words]


@pytest.fixture(scope="session", autouse=True)
def service() -> Iterator[None]:
    """The daemon's service serves with a fake GPU; members of one group may run host jobs."""
    subprocess.run(["groupadd", "--force", "host-users"], check=True)
    Path("/etc/launcher").mkdir(exist_ok=True)
    Path("/etc/launcher/launcher.toml").write_text('[host]\ngroups = ["host-users"]\n')
    DROP_IN.parent.mkdir(exist_ok=True)
    serve = f"ExecStart=\nExecStart={LAUNCH} serve --fake-gpu A30:1g.6gb*4\n"
    DROP_IN.write_text(f"[Service]\n{serve}")
    systemctl("daemon-reload")
    systemctl("enable", "--now", "launcher.service")
    wait_until(answers, 60, subprocess.getoutput("journalctl -u launcher -n 50 --no-pager"))
    yield
    systemctl("stop", "launcher.service")


def answers() -> bool:
    try:
        return bool(Client().status().state)
    except LauncherError:
        return False


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def helper() -> HostHelper:
    return HostHelper(HELPER_SOCKET)


@pytest.fixture
def member() -> Iterator[str]:
    """The ordinary user, who is in the group that may run host jobs."""
    subprocess.run(["usermod", "-aG", "host-users", USER], check=True)
    yield USER
    subprocess.run(["gpasswd", "--delete", USER, "host-users"], check=True, capture_output=True)


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[Path]:
    """A pipe by which a job is told to go on; jobs of every user may read it."""
    place = Path("/tmp") / f"go-{os.getpid()}-{tmp_path.name}"
    os.mkfifo(place)
    place.chmod(0o666)
    yield place
    place.unlink()


Launch = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Launch]:
    """Start ``launch host``; what still runs at the end is killed."""
    made: list[subprocess.Popen[str]] = []

    def started(*words: str, user: bool = False) -> subprocess.Popen[str]:
        command = [LAUNCH, "host", *words]
        made.append(
            subprocess.Popen(
                as_user(*command) if user else command,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/",
            )
        )  # fmt: skip
        return made[-1]

    yield started
    for process in made:
        process.kill()
        process.communicate()


def group_of(user: str) -> int:
    return grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_gid
