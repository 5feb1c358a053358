"""The schema of a database: its number, and the steps to the present one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from launcher.errors import SchemaTooNew
from launcher.store.copying import copy_database
from launcher.store.directory import written_by
from launcher.store.sql import migrations

BEFORE_MIGRATION = "launcher.db.schema-"
"""The name of the copy of a database before a migration; its schema's number follows."""


def schema_of(connection: sqlite3.Connection) -> int:
    """Return the number of a database's schema, 0 if it is empty."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def bring_up_to_date(connection: sqlite3.Connection, path: Path) -> None:
    """Migrate to the schema of this version, after a copy of an older database.

    Raises ``SchemaTooNew`` if a newer launcher wrote it, ``StateDirError`` if the disk has no
    space for the copy.
    """
    if 0 < schema_of(connection) < len(migrations()):
        _keep_copy(connection, path, schema_of(connection))
    migrate(connection, path)


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Migrate to the schema of this version, one transaction per step; refuse a newer one."""
    version, scripts = schema_of(connection), migrations()
    if version > len(scripts):
        raise SchemaTooNew(
            f"{path} has schema {version}, this launcher knows up to {len(scripts)}; "
            f"it was written by launcher {written_by(path.parent) or '(unknown)'}",
            fix="Install the newer launcher again, then restart the daemon.",
        )
    # A table may be recreated, under the name by which others refer to it.
    connection.execute("PRAGMA foreign_keys = OFF")
    for number, script in enumerate(scripts[version:], start=version + 1):
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;"
        )
    connection.execute("PRAGMA foreign_keys = ON")


def _keep_copy(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """Copy a database of an older schema, and delete what earlier migrations left."""
    target = path.with_name(f"{BEFORE_MIGRATION}{version}")
    copy_database(connection, target)
    for old in path.parent.glob(f"{BEFORE_MIGRATION}*"):
        if old != target:
            old.unlink(missing_ok=True)
