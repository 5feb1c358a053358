"""A database of every schema since 0.1.0 opens, and a copy of it is made first."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

import pytest

from launcher import __version__
from launcher.core.model.job import State
from launcher.errors import SchemaTooNew, StateDirError
from launcher.store import Reader, Store
from launcher.store.connect import FILE_NAME
from launcher.store.sql import migrations
from tests.support.builders import mig
from tests.support.small_disk import SmallDisk
from tests.unit.store.schemas import FOLDER

NEWEST = len(migrations())
LITTLE = 100 * 1024
"""Room for the log beside the database, and not for a copy."""


def of_schema(number: int, directory: Path) -> Path:
    directory.mkdir(exist_ok=True, parents=True)
    path = directory / FILE_NAME
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript((FOLDER / f"{number:02}.sql").read_text("utf-8"))
    return path


def test_there_is_a_kept_database_of_every_schema() -> None:
    assert sorted(path.name for path in FOLDER.glob("*.sql")) == [
        f"{number:02}.sql" for number in range(1, NEWEST + 1)
    ]


@pytest.mark.parametrize("number", range(1, NEWEST + 1))
def test_a_database_of_any_schema_is_read_with_all_that_is_in_it(
    number: int, tmp_path: Path
) -> None:
    of_schema(number, tmp_path)
    store = Store.open(tmp_path)
    world = store.load(1)
    reader = Reader(tmp_path)
    try:
        assert store.id == "feedfeed"
        assert {1, 2} <= world.jobs.keys()
        assert world.jobs[2].state is State.STARTING
        lease = world.slices[mig(0).uuid].lease
        assert lease is not None
        assert (lease.job, world.attempts[2].container_name) == (2, "launch-feed-2-1")
        over = reader.job(3)
        assert over is not None
        assert over.state is State.DONE
        assert reader.ended() == {"COMPLETED": 1}
        assert world.slices[mig(3).uuid].quarantine == "a process stayed"
        assert len(reader.elements(4)) == (2 if number >= 5 else 0)
        reader.check("jobs")
    finally:
        reader.close()
        store.close()


@pytest.mark.parametrize("number", range(1, NEWEST))
def test_a_copy_is_kept_of_a_database_before_it_is_changed(number: int, tmp_path: Path) -> None:
    of_schema(number, tmp_path)
    (tmp_path / f"{FILE_NAME}.schema-0").write_text("of an earlier migration")
    Store.open(tmp_path).close()
    (kept,) = tmp_path.glob(f"{FILE_NAME}.schema-*")
    assert kept.name == f"{FILE_NAME}.schema-{number}"
    assert kept.stat().st_mode & 0o077 == 0
    with contextlib.closing(sqlite3.connect(kept)) as copy:
        assert copy.execute("PRAGMA user_version").fetchone()[0] == number
        assert copy.execute("SELECT COUNT(*) FROM jobs WHERE id < 4").fetchone()[0] == 3


def test_no_copy_is_made_where_nothing_is_changed(tmp_path: Path) -> None:
    Store.open(tmp_path).close()
    Store.open(tmp_path).close()
    assert list(tmp_path.glob(f"{FILE_NAME}.schema-*")) == []


def test_without_room_for_the_copy_the_database_stays_as_it_is(disk: SmallDisk) -> None:
    path = of_schema(14, disk.path / "state")
    free = os.statvfs(disk.path)
    (disk.path / "filler").write_bytes(bytes(free.f_bavail * free.f_frsize - LITTLE))
    with pytest.raises(StateDirError, match="MiB left") as caught:
        Store.open(path.parent)
    assert "Free some space" in (caught.value.fix or "")
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == 14
    assert list(path.parent.glob("*.schema-*")) == []


def test_the_directory_tells_which_version_wrote_it(tmp_path: Path) -> None:
    Store.open(tmp_path).close()
    assert (tmp_path / "version").read_text() == f"{__version__}\n"
    (tmp_path / "version").write_text("9.8.7\n")
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(SchemaTooNew, match=r"written by launcher 9\.8\.7"):
        Store.open(tmp_path)
    assert (tmp_path / "version").read_text() == "9.8.7\n"
