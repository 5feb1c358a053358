"""A database with very many jobs that ended: copies of one that really did."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

NUMBERS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :times) "
WHERE = {"attempts": "job", "leases": "job", "history": "job"}


def copy_job(database: Path, job: int, times: int, apart_seconds: float = 0.0) -> None:
    """Add copies of an ended job with its attempts, leases and history; none of it is made up.

    Copy number i ended ``i * apart_seconds`` before the job did.
    """
    values = {"job": job, "times": times, "apart": apart_seconds}
    with contextlib.closing(sqlite3.connect(database)) as db:
        for table, of_job in ({"jobs": "id"} | WHERE).items():
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
            columns = [name for name in columns if name != "seq"]
            made = ", ".join(_copied(name, of_job) for name in columns)
            db.execute(
                f"{NUMBERS} INSERT INTO {table} ({', '.join(columns)}) "
                f"SELECT {made} FROM n, {table} WHERE {table}.{of_job} = :job",
                values,
            )
        db.commit()


def _copied(column: str, of_job: str) -> str:
    if column == of_job:
        return ":job + n.i"
    if column == "container_name":
        return "container_name || '-' || n.i"
    if column in ("submitted_at", "started_wall", "granted_at", "released_at", "at"):
        return f"{column} - n.i * :apart"
    if column in ("started_at", "ended_at"):
        moved = f"strftime('%Y-%m-%dT%H:%M:%f', {column}, '-' || (n.i * :apart) || ' seconds')"
        return f"{moved} || '000Z'"
    return column
