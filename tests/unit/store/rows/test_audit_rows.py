"""The audit in the database: rows are added, never changed, and of each user the last are kept."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.core.messages.changes import AuditLine, Changes
from launcher.errors import InternalError
from launcher.store import Reader, Store
from launcher.store.connect import FILE_NAME
from launcher.store.salvage.salvage import Salvage

KEPT = 100_000
LINE = AuditLine(
    uid=1001,
    at=10.0,
    until=10.0,
    user="alice",
    role="user",
    route="POST /v1/jobs",
    jobs="12-20",
    outcome="ok",
    detail="",
    count=1,
    policy_version=1,
)
BOBS = dataclasses.replace(LINE, uid=1002, user="bob", at=20.0, until=20.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path)
    yield opened
    opened.close()


def lines(
    store: Store, user: str | None = None, since: float = 0.0, most: int = 100
) -> list[AuditLine]:
    reader = Reader(store.directory)
    try:
        return [*reader.audit(user, since, most)]
    finally:
        reader.close()


def test_lines_are_read_as_they_were_written_newest_last(store: Store) -> None:
    store.commit(Changes(audit=[LINE, BOBS]))
    store.commit(Changes(audit=[LINE]))
    assert lines(store) == [LINE, BOBS, LINE]
    assert lines(store, user="bob") == [BOBS]
    assert lines(store, since=15.0) == [BOBS]
    assert lines(store, most=1) == [LINE]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit SET outcome = 'ok'",
        "UPDATE audit SET uid = 0 WHERE nth = 1",
        "DELETE FROM audit",
        "DELETE FROM audit WHERE nth = 1",
    ],
)
def test_no_row_can_be_changed_or_deleted(store: Store, change: str) -> None:
    store.commit(Changes(audit=[LINE, LINE]))
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        store._db.execute(change)
    assert lines(store) == [LINE, LINE]


def test_of_each_user_the_last_rows_are_kept_and_nobody_pushes_out_those_of_others(
    store: Store,
) -> None:
    store.commit(Changes(audit=[BOBS, LINE, LINE]))
    store._db.execute(
        "INSERT INTO audit (uid, nth, at, until, user, role, route, jobs, outcome, detail, count,"
        " policy_version) VALUES (1001, ?, 1, 1, 'alice', 'user', 'x', '', 'ok', '', 1, 1)",
        (KEPT + 1,),
    )
    found = store._db.execute("SELECT uid, nth FROM audit ORDER BY uid, nth").fetchall()
    assert [tuple(row) for row in found] == [(1001, 2), (1001, KEPT + 1), (1002, 1)]
    store.commit(Changes(audit=[LINE]))
    found = store._db.execute("SELECT nth FROM audit WHERE uid = 1001 ORDER BY nth").fetchall()
    assert [row[0] for row in found] == [KEPT + 1, KEPT + 2]


def test_a_line_and_its_decision_are_written_together_or_not_at_all(store: Store) -> None:
    with pytest.raises(InternalError):
        store.commit(Changes(audit=[LINE, dataclasses.replace(LINE, count=0)]))
    assert lines(store) == []


def test_the_audit_is_read_out_of_a_database_that_is_made_anew(
    store: Store, tmp_path: Path
) -> None:
    store.commit(Changes(audit=[LINE, BOBS, LINE]))
    new = Store.open(tmp_path / "new", "0123abcd")
    found = Salvage(tmp_path / FILE_NAME, new._db).run()
    assert (found.whole, found.counts["audit"]) == (True, 3)
    assert lines(new) == [LINE, BOBS, LINE]
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        new._db.execute("DELETE FROM audit")
    new.close()


def test_a_file_from_before_the_audit_lacks_nothing(store: Store, tmp_path: Path) -> None:
    store._db.executescript("DROP TABLE audit; PRAGMA user_version = 6;")
    new = Store.open(tmp_path / "new", "0123abcd")
    assert Salvage(tmp_path / FILE_NAME, new._db).run().whole
    new.close()
