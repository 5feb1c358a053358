"""A backup in place of a database: checked first, with another id, and no id given out twice."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from launcher.errors import StateDirError, UserError
from launcher.store import Store
from launcher.store import directory as statedir
from launcher.store.connect import FILE_NAME
from launcher.store.copying import copy_database
from launcher.store.salvage.restore import MARGIN, Restoring
from tests.unit.store.worlds import changes, job

AT = "2026-12-01T00:00:00Z"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory whose database has more jobs than the backup beside it."""
    store = Store.open(tmp_path / "state", "0123abcd")
    store.commit(changes(new=(job(1),)))
    copy_database(store._db, tmp_path / "backup", AT)
    store.commit(changes(new=(job(2),)))
    store.close()
    return tmp_path / "state"


def jobs(directory: Path) -> set[int]:
    store = Store.open(directory)
    try:
        return set(store.load(1).jobs)
    finally:
        store.close()


def test_a_backup_takes_the_place_of_the_database_which_is_set_aside(state: Path) -> None:
    with Restoring(state, state.parent / "backup", "feedfeed") as work:
        assert (work.made_at, work.former_id) == (AT, "0123abcd")
        aside = work.finish("report")
    assert aside is not None
    assert aside.with_name(f"{aside.name}.report").read_text() == "report"
    assert jobs(state) == {1}
    assert statedir.remembered_id(state) == "feedfeed"
    aside.rename(state / FILE_NAME)
    assert jobs(state) == {1, 2}


def test_without_finish_nothing_is_changed(state: Path) -> None:
    before = (state / FILE_NAME).read_bytes()
    with Restoring(state, state.parent / "backup", "feedfeed"):
        pass
    assert (state / FILE_NAME).read_bytes() == before
    assert statedir.remembered_id(state) == "0123abcd"
    assert not (state / "restoring").exists()


def test_ids_go_on_above_all_that_this_directory_or_the_backup_gave_out(
    state: Path, tmp_path: Path
) -> None:
    with Restoring(state, tmp_path / "backup", "feedfeed") as work:
        assert work.next_id() == 1001
    with Restoring(tmp_path / "new", tmp_path / "backup", "feedfeed") as work:
        assert work.next_id() == 1 + MARGIN + 1
        assert statedir.id_ceiling(tmp_path / "new") > MARGIN


def test_a_directory_is_made_for_a_backup_that_moves_to_another_machine(tmp_path: Path) -> None:
    Store.open(tmp_path / "state").close()
    with Restoring(tmp_path / "a" / "new", tmp_path / "state" / FILE_NAME, "feedfeed") as work:
        assert work.finish("") is None
    assert jobs(tmp_path / "a" / "new") == set()


@pytest.mark.parametrize("content", [b"", b"text", b"SQLite format 3\0" + b"\xa5" * 8000])
def test_a_file_that_is_not_a_database_is_refused(state: Path, content: bytes) -> None:
    backup = state.parent / "other"
    backup.write_bytes(content)
    with pytest.raises(UserError, match="is not a backup of a launcher"):
        Restoring(state, backup, "feedfeed")
    assert jobs(state) == {1, 2}


def test_a_database_of_another_program_is_refused(state: Path) -> None:
    with closing(sqlite3.connect(state.parent / "other")) as other:
        other.execute("CREATE TABLE jobs (id)")
    with pytest.raises(UserError, match="it has other tables"):
        Restoring(state, state.parent / "other", "feedfeed")


def test_a_damaged_backup_is_refused_and_the_directory_can_be_used_again(state: Path) -> None:
    backup = state.parent / "backup"
    content = bytearray(backup.read_bytes())
    with closing(sqlite3.connect(backup)) as whole:
        (root,) = whole.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'jobs'").fetchone()
    content[(root - 1) * 4096 : root * 4096] = b"\xa5" * 4096
    backup.write_bytes(content)
    with pytest.raises(StateDirError, match="cannot restore"):
        Restoring(state, backup, "feedfeed")
    assert jobs(state) == {1, 2}


def test_a_directory_in_use_is_refused(state: Path) -> None:
    store = Store.open(state)
    with pytest.raises(StateDirError, match="in use"):
        Restoring(state, state.parent / "backup", "feedfeed")
    store.close()
