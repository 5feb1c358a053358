"""Below the reserve submits are refused, so that running jobs can still end."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.config.settings import Config, load
from launcher.daemon.machine.disk_space import MIB, lack_of_space, must_have_room
from launcher.errors import ReadOnlyState


def reserving(directory: Path, mib: int) -> Config:
    return replace(load({}, {}), state_dir=directory, disk_reserve_mib=mib)


def test_with_enough_space_or_no_reserve_submits_are_taken(tmp_path: Path) -> None:
    for mib in (0, 1):
        assert lack_of_space(reserving(tmp_path, mib)) is None
        must_have_room(reserving(tmp_path, mib))


def test_below_the_reserve_submits_are_refused_with_both_numbers(tmp_path: Path) -> None:
    disk = os.statvfs(tmp_path)
    reserve = disk.f_blocks * disk.f_frsize // MIB + 1
    with pytest.raises(ReadOnlyState, match=f"submits are refused below {reserve} MiB"):
        must_have_room(reserving(tmp_path, reserve))


def test_a_directory_that_cannot_be_asked_refuses_nothing(tmp_path: Path) -> None:
    assert lack_of_space(reserving(tmp_path / "gone", 10**9)) is None
