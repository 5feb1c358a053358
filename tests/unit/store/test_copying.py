"""Copies of a database in use: whole, closed to others, in one file, or not at all."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from launcher.errors import StateDirError
from launcher.store import Store
from launcher.store.copying import COPIED_AT, copy_database
from tests.unit.store.worlds import changes, job

AT = "2026-12-01T00:00:00Z"


def meta(path: Path, key: str) -> str | None:
    with closing(sqlite3.connect(path)) as copy:
        row = copy.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return row and str(row[0])


def test_a_copy_has_what_is_committed_and_its_time(store: Store, tmp_path: Path) -> None:
    store.commit(changes(new=(job(1),)))
    copy_database(store._db, tmp_path / "copy", AT)
    with closing(sqlite3.connect(tmp_path / "copy")) as copy:
        assert copy.execute("SELECT id FROM jobs").fetchall() == [(1,)]
        assert copy.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert meta(tmp_path / "copy", COPIED_AT) == AT
    assert store.meta(COPIED_AT) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "state"]
    assert stat.S_IMODE((tmp_path / "copy").stat().st_mode) == 0o600


def test_a_copy_replaces_an_earlier_one_and_what_was_left_of_another(
    store: Store, tmp_path: Path
) -> None:
    for name in ("copy", "copy.new"):
        (tmp_path / name).write_text("earlier")
    copy_database(store._db, tmp_path / "copy")
    assert meta(tmp_path / "copy", "store") == store.id
    assert not (tmp_path / "copy.new").exists()


def test_a_place_that_cannot_be_written_is_told(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StateDirError, match="cannot write"):
        copy_database(store._db, tmp_path / "gone" / "copy")


def test_a_disk_without_room_keeps_the_earlier_copy(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        f_bavail, f_frsize = 1, 4096

    (tmp_path / "copy").write_text("earlier")
    monkeypatch.setattr("os.statvfs", lambda path: Full)
    with pytest.raises(StateDirError, match=r"it needs \d+ MiB"):
        copy_database(store._db, tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "earlier"
