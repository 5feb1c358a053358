"""Which MIG devices a container can open, from its device nodes and the driver's tables."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from launcher.daemon.machine.mig_device_nodes import MigDeviceNodes
from launcher.daemon.machine.tools import Host

MAJOR = 240
WEB = SimpleNamespace(id="feed", pid=42)
TABLE = {"config": 1, "monitor": 2}
TABLE |= {"gpu0/gi7/access": 66, "gpu0/gi7/ci0/access": 67, "gpu0/gi7/ci1/access": 68}
TABLE |= {"gpu1/gi2/access": 150, "gpu1/gi2/ci0/access": 151}


@dataclass
class Place:
    """A machine's tables and one container's process below a directory."""

    root: Path

    def __post_init__(self) -> None:
        self.add("proc/devices", f"Character devices:\n  1 mem\n{MAJOR} nvidia-caps\n")
        rows = "".join(f"{name} {minor}\n" for name, minor in TABLE.items())
        self.add("proc/driver/nvidia-caps/mig-minors", rows)
        self.add("proc/42/cgroup", "0::/docker/feed\n")
        self.folder = self.root / "proc/42/root/dev/nvidia-caps"
        self.folder.mkdir(parents=True)

    def add(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def node(self, minor: int, major: int = MAJOR) -> None:
        os.mknod(self.folder / f"nvidia-cap{minor}", stat.S_IFCHR, os.makedev(major, minor))

    def of(self, container: Any = WEB) -> frozenset[str]:
        return MigDeviceNodes(Host(self.root, ""), self.root / "proc").of(container)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_it_can_open_the_compute_instances_that_it_has_nodes_of(place: Place) -> None:
    for minor in (2, 66, 67, 150, 151):
        place.node(minor)
    assert place.of() == {"/dev/nvidia0/7/0", "/dev/nvidia1/2/0"}


def test_a_file_or_a_node_of_another_driver_counts_for_nothing(place: Place) -> None:
    place.node(67, major=MAJOR + 1)
    (place.folder / "nvidia-cap68").write_text("")
    assert place.of() == frozenset()


@pytest.mark.parametrize("gone", ["proc/devices", "proc/driver/nvidia-caps/mig-minors"])
def test_without_the_drivers_tables_nothing_is_known(place: Place, gone: str) -> None:
    place.node(67)
    (place.root / gone).unlink()
    assert place.of() == frozenset()


def test_a_process_of_another_container_tells_nothing(place: Place) -> None:
    place.node(67)
    for container in (SimpleNamespace(id="beef", pid=42), SimpleNamespace(id="feed", pid=0)):
        assert place.of(container) == frozenset()


@pytest.mark.parametrize("link", ["dev", "dev/nvidia-caps"])
def test_links_in_a_container_are_not_followed(place: Place, link: str) -> None:
    place.node(67)
    folder = place.root / "proc/42/root" / link
    elsewhere = place.root / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    assert place.of() == frozenset()
