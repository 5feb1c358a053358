"""Which logs are deleted for their age, their size or their job, and which stay."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from launcher.daemon.output.old_logs import (
    STEP_SECONDS,
    STRAY_SECONDS,
    OldLogs,
    folders,
    limit_path,
    logs_in,
)
from launcher.output.log_file import path_of

NOW = 1_800_000_000.0
ALICE, BOB = 1000, 1001


class Logs:
    """A directory of logs, and whose jobs the database has on record."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.owners: dict[int, int] = {}
        self.live: set[int] = set()
        self.old = OldLogs(directory, self.between, lambda job: job in self.live)

    async def between(self, first: int, last: int) -> Mapping[int, int]:
        return {job: uid for job, uid in self.owners.items() if first <= job <= last}

    def write(self, job: int, age: float, size: int = 10, uid: int | None = ALICE) -> Path:
        path = path_of(self.directory, job, 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
        os.utime(path, (NOW - age, NOW - age))
        if uid is not None:
            self.owners[job] = uid
        return path

    def left(self) -> list[int]:
        return [file.job for folder in folders(self.directory) for file in logs_in(folder)]

    def delete(self, age: float, uid: int | None = None, *, dry_run: bool = False) -> int:
        deleted = asyncio.run(self.old.delete(NOW - age, NOW, uid, dry_run=dry_run))
        assert deleted.bytes == 10 * deleted.files
        return deleted.files


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    return Logs(tmp_path / "logs")


def test_where_there_are_no_logs_there_is_nothing_to_delete(logs: Logs) -> None:
    assert logs.delete(0) == 0
    assert asyncio.run(logs.old.cutoff(0)) == 0.0


def test_logs_older_than_that_go_and_those_of_live_jobs_stay(logs: Logs) -> None:
    for job, age in ((1, 100), (2, 300), (3, 300)):
        logs.write(job, age)
    logs.live.add(3)
    assert logs.delete(200) == 1
    assert sorted(logs.left()) == [1, 3]


def test_a_user_deletes_only_their_own(logs: Logs) -> None:
    logs.write(1, 300)
    logs.write(2, 300, uid=BOB)
    logs.write(3, 1e9, uid=None)
    assert logs.delete(200, BOB) == 1
    assert sorted(logs.left()) == [1, 3]


def test_a_log_without_a_job_goes_after_a_day_whatever_is_asked_for(logs: Logs) -> None:
    logs.write(1, STRAY_SECONDS - 1, uid=None)
    logs.write(2, STRAY_SECONDS + 1, uid=None)
    assert logs.delete(1e12) == 1
    assert logs.left() == [1]


def test_a_dry_run_counts_and_deletes_nothing(logs: Logs) -> None:
    logs.write(1, 300)
    assert logs.delete(200, dry_run=True) == 1
    assert logs.left() == [1]


def test_the_limit_of_a_log_goes_with_it_and_other_files_stay(logs: Logs) -> None:
    path = logs.write(1, 300)
    limit_path(path).write_text("5")
    (path.parent / "notes.txt").write_text("of an admin's")
    logs.delete(200)
    assert [file.name for file in path.parent.iterdir()] == ["notes.txt"]


def test_the_oldest_go_first_until_the_rest_fits(logs: Logs) -> None:
    for job in range(1, 6):
        logs.write(job, job * 2 * STEP_SECONDS)
    assert asyncio.run(logs.old.cutoff(50)) == 0.0
    cutoff = asyncio.run(logs.old.cutoff(25))
    asyncio.run(logs.old.delete(cutoff, NOW))
    assert sorted(logs.left()) == [1, 2]
    assert asyncio.run(logs.old.cutoff(0)) > NOW - 3 * STEP_SECONDS


def test_logs_of_deleted_jobs_go_and_no_others(logs: Logs) -> None:
    for job in (1, 2, 2500):
        logs.write(job, 0)
    asyncio.run(logs.old.delete_of([2, 2500, 99]))
    assert logs.left() == [1]


def test_folders_are_those_of_jobs_in_their_order(tmp_path: Path) -> None:
    for name in ("10", "9", "notes", "1x"):
        (tmp_path / name).mkdir()
    (tmp_path / "11").touch()
    assert [folder.name for folder in folders(tmp_path)] == ["9", "10"]


def test_only_names_of_logs_are_logs(tmp_path: Path) -> None:
    for name in ("1.2.log", "1.log", "1.2.limit", "x.1.log", "1.2.log.new"):
        (tmp_path / name).touch()
    assert [(file.job, file.attempt) for file in logs_in(tmp_path)] == [(1, 2)]
