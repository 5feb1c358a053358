"""Two connections that read one state, whatever is committed meanwhile."""

from __future__ import annotations

import contextlib
import sqlite3
import threading

import pytest

from launcher.errors import StateDirError
from launcher.store import Store
from launcher.store import connect as connecting
from launcher.store.connect import FILE_NAME, connect, same_state

TIMES = 200


def put(db: sqlite3.Connection, value: int) -> None:
    db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('n', ?)", (str(value),))


def read(db: sqlite3.Connection) -> str:
    return str(db.execute("SELECT value FROM meta WHERE key = 'n'").fetchone()[0])


def test_both_connections_see_the_same_commits(store: Store) -> None:
    path = store.directory / FILE_NAME
    put(store._db, 0)
    over = threading.Event()

    def commit_all_the_time() -> None:
        with contextlib.closing(connect(path)) as db:
            number = 0
            while not over.is_set():
                number += 1
                put(db, number)

    writer = threading.Thread(target=commit_all_the_time)
    writer.start()
    seen: set[str] = set()
    try:
        with (
            contextlib.closing(connect(path, read_only=True)) as first,
            contextlib.closing(connect(path, read_only=True)) as second,
        ):
            while len(seen) < TIMES:
                with same_state(first, second):
                    value = read(first)
                    assert read(second) == value
                seen.add(value)
    finally:
        over.set()
        writer.join()


def test_a_database_that_changes_at_each_attempt_is_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store.directory / FILE_NAME
    version = iter(range(10**6))
    monkeypatch.setattr(connecting, "_version", lambda _: next(version))
    with (
        contextlib.closing(connect(path, read_only=True)) as first,
        contextlib.closing(connect(path, read_only=True)) as second,
    ):
        with pytest.raises(StateDirError, match="changes too often"), same_state(first, second):
            pass
        assert not first.in_transaction
        assert not second.in_transaction
