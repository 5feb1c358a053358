"""The free space for the daemon's state, also while the disk hangs."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from launcher.daemon.machine import disk_space
from launcher.daemon.machine.disk_space import DiskFree


def test_the_free_and_the_whole_space_are_in_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_space, "PATIENCE_SECONDS", 10.0)
    found = os.statvfs(tmp_path)
    shown = asyncio.run(DiskFree(tmp_path).now())
    assert shown is not None
    assert shown[1] == found.f_blocks * found.f_frsize
    assert 0 < shown[0] <= shown[1]


def test_a_directory_that_cannot_be_looked_at_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_space, "PATIENCE_SECONDS", 10.0)
    assert asyncio.run(DiskFree(tmp_path / "none").now()) is None


def test_while_the_disk_hangs_the_last_figure_is_shown_by_one_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over, looks = threading.Event(), 0

    async def body() -> None:
        disk = DiskFree(tmp_path)
        monkeypatch.setattr(disk_space, "PATIENCE_SECONDS", 10.0)
        before = await disk.now()
        monkeypatch.setattr(disk_space, "PATIENCE_SECONDS", 0.001)
        real = os.statvfs(tmp_path)

        def hangs(path: Path) -> os.statvfs_result:
            nonlocal looks
            looks += 1
            over.wait(10)
            return real

        monkeypatch.setattr(os, "statvfs", hangs)
        assert [await disk.now() for _ in range(5)] == [before] * 5
        assert looks == 1
        over.set()
        assert disk._reading is not None
        await disk._reading

    asyncio.run(body())
