"""The power goes at any moment: what was acknowledged is there, and nothing is there in half."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher.errors import StateDirError
from launcher.store import Store
from launcher.store.connect import FILE_NAME, connect, durable
from tests.drills.powerloss import drill


def test_a_log_that_is_cut_anywhere_holds_whole_commits_and_every_acknowledged_one(
    tell: Callable[[object], None],
) -> None:
    figures = drill(seed=1)
    tell(figures)
    assert figures.failures == []
    assert figures.commits >= 30
    assert figures.cuts > 3 * figures.frames > 100


def test_the_first_start_may_be_cut_off_anywhere(tmp_path: Path) -> None:
    """A store whose schema is only partly there is made ready by the next start."""
    store = Store.open(tmp_path / "first")
    database, wal = (tmp_path / "first" / name for name in (FILE_NAME, f"{FILE_NAME}-wal"))
    base, log = database.read_bytes(), wal.read_bytes()
    store.close()
    for number, end in enumerate(range(32, len(log) + 1, 4096 + 24)):
        copy = tmp_path / str(number)
        copy.mkdir()
        (copy / FILE_NAME).write_bytes(base)
        (copy / wal.name).write_bytes(log[:end])
        again = Store.open(copy)
        assert again._db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert again.load(1).next_id == 1
        again.close()


def test_a_database_that_does_not_sync_every_commit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    connection = connect(path)
    durable(connection, path)
    connection.execute("PRAGMA synchronous = NORMAL")
    with pytest.raises(StateDirError, match="synchronous is 1") as caught:
        durable(connection, path)
    assert "local disk" in (caught.value.fix or "")
    connection.close()


def test_a_database_that_cannot_have_a_write_ahead_log_is_refused() -> None:
    connection = sqlite3.connect(":memory:")
    with pytest.raises(StateDirError, match="journal_mode is memory"):
        durable(connection, Path("/nowhere"))
    connection.close()
