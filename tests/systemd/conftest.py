"""The installed service with a fake GPU, and its users."""

from __future__ import annotations

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
USER, OTHER = "dev", "games"
"""An ordinary user who may run host jobs, and one who may not."""


def systemctl(*words: str) -> str:
    """Return what systemctl says; raises ``CalledProcessError``."""
    done = subprocess.run(
        ["systemctl", *words], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def is_active(unit: str) -> bool:
    done = subprocess.run(["systemctl", "is-active", "--quiet", unit], check=False, timeout=60)
    return done.returncode == 0


def as_user(name: str, *words: str) -> list[str]:
    """Return a command that a user runs."""
    user = pwd.getpwnam(name)
    ids = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--init-groups"]
    return ["setpriv", *ids, "env", f"HOME={user.pw_dir}", *words]


@pytest.fixture(scope="session", autouse=True)
def service() -> Iterator[None]:
    """The daemon's service serves with a fake GPU; members of one group may run host jobs."""
    subprocess.run(["groupadd", "--force", "host-users"], check=True)
    subprocess.run(["usermod", "-aG", "host-users", USER], check=True)
    Path("/etc/launcher").mkdir(exist_ok=True)
    Path("/etc/launcher/launcher.toml").write_text('[host]\ngroups = ["host-users"]\n')
    DROP_IN.parent.mkdir(exist_ok=True)
    serve = f"ExecStart=\nExecStart={LAUNCH} serve --fake-gpu A30:1g.6gb*4\n"
    DROP_IN.write_text(f"[Service]\n{serve}")
    systemctl("daemon-reload")
    systemctl("enable", "launcher.service")
    start_all()
    wait_until(answers, 60, subprocess.getoutput("journalctl -u launcher -n 50 --no-pager"))
    yield
    systemctl("stop", "launcher.service", "launcher.socket")


def start_all() -> None:
    """Start the daemon and every socket; tests start it more often than its limit allows."""
    systemctl("reset-failed", "launcher.service", "launcher.socket")
    systemctl("start", "launcher-host.socket", "launcher-host-users.socket", "launcher.service")


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

    def started(*words: str, user: str = "root") -> subprocess.Popen[str]:
        made.append(
            subprocess.Popen(
                as_user(user, LAUNCH, "host", *words),
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/",
            )
        )  # fmt: skip
        return made[-1]

    yield started
    wait_until(answers)
    for job in Client().jobs():
        Client().cancel(job.id)
    for process in made:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
