"""The schema's steps, the settings that durability rests on, and the SQL that is there."""

from __future__ import annotations

import inspect
import re
import sqlite3
from pathlib import Path

import pytest

from launcher.errors import SchemaTooNew
from launcher.store import (
    Reader,
    Store,
    accounting,
    arrays,
    load,
    notifications,
    pruning,
    reader,
    rollups,
    store,
)
from launcher.store.connect import FILE_NAME, connect
from launcher.store.schema import migrate
from launcher.store.sql import migrations, queries


def pragma(connection: sqlite3.Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def schema(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    rows = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
    )
    return [tuple(row) for row in rows]


def test_the_writer_runs_with_wal_full_sync_and_foreign_keys(tmp_path: Path) -> None:
    opened = Store.open(tmp_path)
    assert pragma(opened._db, "journal_mode") == "wal"
    assert pragma(opened._db, "synchronous") == 2, "FULL: a commit survives a power cut"
    assert pragma(opened._db, "foreign_keys") == 1
    opened.close()


def test_the_reader_cannot_write(tmp_path: Path) -> None:
    opened = Store.open(tmp_path)
    reading = Reader(tmp_path)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reading._db.execute("DELETE FROM jobs")
    reading.close()
    opened.close()


def test_a_database_of_any_age_becomes_what_a_new_one_is(tmp_path: Path) -> None:
    fresh = connect(tmp_path / "fresh.db")
    migrate(fresh, tmp_path / "fresh.db")
    for age in range(len(migrations()) + 1):
        old = connect(tmp_path / f"{age}.db")
        for number, script in enumerate(migrations()[:age], start=1):
            old.executescript(f"{script}; PRAGMA user_version = {number};")
        migrate(old, tmp_path / f"{age}.db")
        assert schema(old) == schema(fresh)
        assert pragma(old, "user_version") == len(migrations())
        old.close()
    fresh.close()


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    first = Store.open(tmp_path)
    before, made = schema(first._db), first.id
    first.close()
    again = Store.open(tmp_path)
    assert (schema(again._db), again.id) == (before, made)
    again.close()


def test_a_step_that_fails_leaves_the_schema_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = ("CREATE TABLE a (x);", "CREATE TABLE b (x); CREATE TABLE a (x);")
    monkeypatch.setattr("launcher.store.schema.migrations", lambda: steps)
    made = connect(tmp_path / "x.db")
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        migrate(made, tmp_path / "x.db")
    made.close()
    found = connect(tmp_path / "x.db")
    assert pragma(found, "user_version") == 1
    assert [name for name, _ in schema(found)] == ["a"]
    found.close()


def test_a_newer_schema_is_refused_with_what_to_do_and_left_alone(tmp_path: Path) -> None:
    Store.open(tmp_path).close()
    newer = sqlite3.connect(tmp_path / FILE_NAME)
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(SchemaTooNew, match="schema 99") as caught:
        Store.open(tmp_path)
    assert "newer launcher" in (caught.value.fix or "")
    kept = sqlite3.connect(tmp_path / FILE_NAME)
    assert kept.execute("PRAGMA user_version").fetchone()[0] == 99
    kept.close()


def test_migrations_are_numbered_without_a_gap() -> None:
    assert len(migrations()) >= 1
    folder = Path(inspect.getfile(store)).with_name("migrations")
    names = sorted(path.name for path in folder.glob("*.sql"))
    assert [name[:5] for name in names] == [f"{n:04}_" for n in range(1, len(names) + 1)]


def test_every_query_is_used_and_every_used_query_exists() -> None:
    modules = (accounting, arrays, load, notifications, pruning, reader, rollups, store)
    text = "".join(map(inspect.getsource, modules))
    used = set(
        re.findall(r"(?:_Q\[|self\._rows\(|reader\.rows\(|_targets\(reader, )\"(\w+)\"", text)
    )
    assert used == set(queries())


@pytest.mark.parametrize("name", sorted(queries()))
def test_every_query_fits_the_schema(name: str, tmp_path: Path) -> None:
    made = connect(tmp_path / "x.db")
    migrate(made, tmp_path / "x.db")
    query = queries()[name]
    named = dict.fromkeys(re.findall(r":(\w+)", query))
    values = named or (None,) * query.count("?")
    made.execute(f"EXPLAIN {query}", values)
    made.close()


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("live_jobs", "jobs_live"),
        ("jobs_named_of_user", "jobs_by_name"),
        ("last_of_user", "jobs_by_user"),
        ("pruned_before", "INTEGER PRIMARY KEY"),
        ("jobs_between_of_user", "jobs_by_user"),
    ],
)
def test_what_is_asked_often_does_not_read_every_job(name: str, index: str, tmp_path: Path) -> None:
    made = connect(tmp_path / "x.db")
    migrate(made, tmp_path / "x.db")
    query = queries()[name]
    plan = made.execute(f"EXPLAIN QUERY PLAN {query}", ("x",) * query.count("?")).fetchall()
    assert len(plan) == 1, "no sorting either"
    assert index in plan[0]["detail"]
    made.close()
