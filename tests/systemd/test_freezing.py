"""What the daemon's unit may not do in control groups, the helper does."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.host.client import HostHelper
from tests.support.wait import wait_until
from tests.systemd.conftest import systemctl


@pytest.fixture
def container() -> Iterator[Path]:
    """The control group of what looks like a container of Docker's."""
    unit = f"docker-{'5a' * 32}.scope"
    words = ["systemd-run", "--quiet", "--scope", f"--unit={unit}", "sleep", "600"]
    with subprocess.Popen(words) as running:
        place = Path("/sys/fs/cgroup/system.slice") / unit
        wait_until(place.exists)
        yield place
        running.kill()


def is_frozen(place: Path) -> bool:
    return "frozen 1" in (place / "cgroup.events").read_text()


def test_a_container_is_frozen_and_goes_on(helper: HostHelper, container: Path) -> None:
    helper.set_frozen(container, True)
    wait_until(lambda: is_frozen(container))
    helper.set_frozen(container, False)
    wait_until(lambda: not is_frozen(container))


def test_no_other_control_group_is_frozen(helper: HostHelper) -> None:
    for place in ("/sys/fs/cgroup/system.slice", f"/tmp/{'5a' * 32}", "/sys/fs/cgroup/a/../b"):
        with pytest.raises(OSError, match="not the control group of a container"):
            helper.set_frozen(Path(place), True)


def test_the_daemon_cannot_write_control_groups() -> None:
    pid = systemctl("show", "--property=MainPID", "--value", "launcher.service")
    mounts = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    (options,) = {line.split()[5] for line in mounts if line.split()[4] == "/sys/fs/cgroup"}
    assert "ro" in options.split(",")
