"""The container that a process runs in, as the kernel tells it."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.engine.own import own_container

ID = "0123456789abcdef" * 4
OTHER = "f" * 64
BEFORE = "100 90 0:50 / / rw - overlay overlay rw\n"
ROWS = {
    "its own hostname": (f"/var/lib/docker/containers/{ID}/hostname /etc/hostname", ID),
    "containers on a disk of their own": (f"/{ID}/hostname /etc/hostname", ID),
    "another data root": (f"/data/docker/containers/{ID}/hostname /etc/hostname", ID),
    "another's, mounted elsewhere": (f"/docker/containers/{OTHER}/hostname /other/hostname", None),
    "another file": (f"/docker/containers/{OTHER}/hosts /etc/hosts", None),
    "a short id": (f"/docker/containers/{ID[:12]}/hostname /etc/hostname", None),
    "a host": ("/ /etc/hostname", None),
}


@pytest.mark.parametrize("row", ROWS)
def test_it_is_the_one_whose_hostname_is_mounted_here(row: str, tmp_path: Path) -> None:
    places, expected = ROWS[row]
    file = tmp_path / "mountinfo"
    file.write_text(f"{BEFORE}101 100 254:0 {places} rw,relatime - ext4 /dev/vda rw\n")
    assert own_container(file) == expected


def test_this_machine_is_none() -> None:
    assert own_container() is None
    assert own_container(Path("/nowhere")) is None
