"""The upgrade from 0.1.0 with jobs in every state, and the way back.

``tests/support/launcher-0.1.0.tar.xz`` is that version; it runs on the libraries of this one.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from launcher.fakegpu.sandbox import Sandbox
from tests.conftest import MakeDaemon
from tests.support.daemon import BUSYBOX, DaemonProcess
from tests.support.project import PROJECT
from tests.support.wait import wait_until

ARCHIVE = PROJECT / "tests" / "support" / "launcher-0.1.0.tar.xz"
SPEC = "A30:1g.6gb*2"


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables with which ``python -m launcher`` is 0.1.0."""
    place = tmp_path_factory.mktemp("old")
    place.chmod(0o755)
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(place, filter="data")
    return {"PYTHONPATH": str(place), "PYTHONSAFEPATH": "1"}


def client_of(old: dict[str, str], daemon: DaemonProcess, *words: str) -> tuple[int, str]:
    """Run a command of 0.1.0 against a daemon."""
    done = subprocess.run(
        [sys.executable, "-m", "launcher", *words],
        env=daemon.environment | old,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def ends_when(path: Path, code: int) -> list[str]:
    """A command that prints, waits for a file, prints again and returns a code."""
    return [
        "sh", "-c",
        f"echo before; while ! [ -e {path}/go ]; do sleep 0.1; done; echo after; exit {code}",
    ]  # fmt: skip


def test_jobs_of_an_older_version_go_on_after_an_upgrade_and_the_way_back_is_refused(
    make_daemon: MakeDaemon, sandbox: Sandbox, old: dict[str, str], tmp_path: Path
) -> None:
    daemon = make_daemon(SPEC)
    daemon.nursery, new_words = None, daemon.gpu_words
    # The state of its simulated GPUs is not kept between versions: both load this one's library.
    daemon.gpu_words, daemon.extra = [], old | daemon.machine.environment()
    daemon.start()
    run = ("run", "-d", "--profile", "1g.6gb")
    assert client_of(old, daemon, *run, "--name", "first", BUSYBOX, "echo", "done")[0] == 0
    assert client_of(old, daemon, "wait", "first")[0] == 0
    mount = ("-v", f"{tmp_path}:{tmp_path}")
    for name, code in (("running", 7), ("beside", 0)):
        words = [*run, "--name", name, *mount, BUSYBOX, *ends_when(tmp_path, code)]
        assert client_of(old, daemon, *words)[0] == 0
    assert client_of(old, daemon, *run, "--name", "waiting", BUSYBOX, "echo", "later")[0] == 0
    assert client_of(old, daemon, *run, "--hold", "--name", "held", BUSYBOX, "true")[0] == 0
    wait_until(
        lambda: client_of(old, daemon, "logs", "running")[1] == "before\n", 20, "it has printed"
    )
    daemon.stop()

    daemon.gpu_words, daemon.extra = new_words, {}
    daemon.start()
    states = {job.name: job.state for job in daemon.client.jobs(all=True)}
    assert states == {
        "first": "DONE", "running": "RUNNING", "beside": "RUNNING",
        "waiting": "PENDING", "held": "PENDING",
    }  # fmt: skip
    code, said = client_of(old, daemon, "ps")
    assert (code, "running" in said, "0.2.0" in said) == (0, True, True), said
    (tmp_path / "go").touch()
    assert daemon.client.wait("running").exit_code == 7
    assert daemon.client.wait("waiting").outcome == "COMPLETED"
    assert daemon.cli("logs", "running").stdout == "before\nafter\n"
    assert daemon.cli("logs", "first").stdout == "done\n"
    daemon.cli("release", "held")
    assert daemon.client.wait("held").outcome == "COMPLETED"
    daemon.stop()

    daemon.gpu_words, daemon.extra = [], old | daemon.machine.environment()
    daemon.start(wait=False)
    wait_until(lambda: "newer" in client_of(old, daemon, "status")[1], 20, "it says why")
    code, said = client_of(old, daemon, *run, BUSYBOX, "true")
    assert code != 0
    assert "newer" in said
    daemon.stop()
    daemon.gpu_words, daemon.extra = new_words, {}
    daemon.start()
    assert daemon.client.show("running").job.exit_code == 7
