"""The one writer: a decision's changes in one transaction, and the world read back."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import sqlite3
from pathlib import Path

from launcher.core.changes import Changes
from launcher.core.lease import Lease
from launcher.core.rules import DEFAULT_RULES, Rules
from launcher.core.world import World
from launcher.crashpoints import crashpoint
from launcher.errors import StateDirError
from launcher.store import layouts, rows
from launcher.store.connect import FILE_NAME, cannot, connect, explained, migrate
from launcher.store.jobrows import job_row
from launcher.store.load import CLOCK, load
from launcher.store.sql import queries

_Q = queries()


class Store:
    """The database of one state directory, locked for this process."""

    def __init__(self, directory: Path, connection: sqlite3.Connection, lock: int) -> None:
        self.directory = directory
        self.path = directory / FILE_NAME
        self._db = connection
        self._lock = lock
        self.id = self._identity()

    @classmethod
    def open(cls, directory: Path) -> Store:
        """Open or create the store of a state directory.

        Raises ``StateDirError`` (with what to do) where it is full, read-only, damaged or used by
        another daemon, ``SchemaTooNew`` where a newer launcher wrote it.
        """
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise cannot(f"make the directory {directory}", error) from error
        lock = _lock(directory)
        path = directory / FILE_NAME
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, lock)
            _close_to_others(path)
            with explained(path):
                connection = connect(path)
                undo.callback(connection.close)
                migrate(connection, path)
                store = cls(directory, connection, lock)
            undo.pop_all()
        return store

    def close(self) -> None:
        """Close the database and let the directory go."""
        self._db.close()
        os.close(self._lock)

    def _identity(self) -> str:
        """Return this store's id, made at first: containers carry it in name and label."""
        row = self._db.execute(_Q["get_meta"], ("store",)).fetchone()
        if row:
            return str(row[0])
        made = secrets.token_hex(4)
        self._db.execute(_Q["put_meta"], ("store", made))
        return made

    def meta(self, key: str) -> str | None:
        """Return a remembered value, such as the kernel's boot id."""
        with explained(self.path):
            row = self._db.execute(_Q["get_meta"], (key,)).fetchone()
        return str(row[0]) if row else None

    def put_meta(self, key: str, value: str) -> None:
        """Remember a value."""
        with explained(self.path):
            self._db.execute(_Q["put_meta"], (key, value))

    def commit(self, changes: Changes) -> None:
        """Write everything in one transaction, or nothing.

        Raises ``StateDirError`` where the disk fails, ``InternalError`` where the schema refuses.
        """
        with explained(self.path):
            crashpoint("commit:before")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._write(changes)
                crashpoint("commit:inside")
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            crashpoint("commit:after")

    def _write(self, changes: Changes) -> None:
        db = self._db
        if not changes:  # a probe: does the disk take a write again?
            db.execute(_Q["put_meta"], ("probe", secrets.token_hex(4)))
        new = {job.id for job, _ in changes.new_jobs}
        db.executemany(_Q["insert_array"], [rows.array_row(a) for a in changes.arrays.values()])
        db.executemany(_Q["reopen_job"], [(job_id,) for job_id in changes.reopened])
        db.executemany(_Q["insert_job"], [job_row(job, spec) for job, spec in changes.new_jobs])
        db.executemany(
            _Q["update_job"], [job_row(j) for j in changes.jobs.values() if j.id not in new]
        )
        db.executemany(_Q["put_attempt"], [rows.attempt_row(a) for a in changes.attempts.values()])
        # Ended leases first: a slice may change hands within one transaction.
        leases = sorted(changes.leases.values(), key=_live)
        db.executemany(_Q["put_lease"], [rows.lease_row(lease) for lease in leases])
        self._write_machine(changes)
        db.executemany(
            _Q["put_use"], [(uid, u.user, u.amount, u.at) for uid, u in changes.uses.items()]
        )
        if changes.clock is not None:
            db.execute(_Q["put_meta"], (CLOCK, repr(changes.clock)))
        db.executemany(
            _Q["insert_history"], [(h.job, h.at, h.event, h.detail) for h in changes.history]
        )

    def _write_machine(self, changes: Changes) -> None:
        """Write what is recorded of slices and GPUs rather than of jobs."""
        db = self._db
        for uuid, quarantine in changes.quarantines.items():
            if quarantine is None:
                db.execute(_Q["delete_quarantine"], (uuid,))
            else:
                db.execute(_Q["put_quarantine"], (uuid, quarantine[0], int(quarantine[1])))
        for uuid, drain in changes.drains.items():
            if drain is None:
                db.execute(_Q["delete_drain"], (uuid,))
            else:
                db.execute(_Q["put_drain"], rows.drain_row(drain))
        for name, reservation in changes.reservations.items():
            db.execute(_Q["delete_reservation"], (name,))
            if reservation is not None:
                db.execute(_Q["put_reservation"], rows.reservation_row(reservation))
        for (gpu, gi), place in changes.made.items():
            if place is None:
                db.execute(_Q["delete_made"], (gpu, gi))
            else:
                db.execute(_Q["put_made"], (gpu, gi, place.profile_id, place.start))
        db.executemany(_Q["put_layout"], [layouts.row(op) for op in changes.layouts.values()])

    def load(self, cpu_slots: int, rules: Rules = DEFAULT_RULES) -> World:
        """Read the live jobs, their attempts, leases and the quarantines into a new world."""
        with explained(self.path):
            return load(self._db, self.id, cpu_slots, rules)


def _close_to_others(path: Path) -> None:
    """Let nobody else read the database, whatever its directory allows: it holds environments.

    SQLite gives the files beside it the database's mode.
    """
    with contextlib.suppress(OSError):  # SQLite says it better
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    try:
        for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
            beside = path.with_name(name)
            if beside.is_file() and beside.stat().st_mode & 0o077:
                beside.chmod(0o600)
    except OSError as error:
        raise cannot(f"use {path}", error) from error


def _live(lease: Lease) -> bool:
    return lease.released_at is None


def _lock(directory: Path) -> int:
    """Take the directory for this process until it ends; refused while another has it."""
    path = directory / "lock"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise cannot(f"write in {directory}", error) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.read(fd, 32).decode("ascii", "replace").strip() or "unknown"
        os.close(fd)
        raise StateDirError(
            f"{directory} is in use by another launcher daemon (pid {holder})",
            fix="Stop that daemon, or use another state directory.",
        ) from error
    try:
        os.ftruncate(fd, 0)
        os.write(fd, str(os.getpid()).encode())
    except OSError as error:
        os.close(fd)
        raise cannot(f"write in {directory}", error) from error
    return fd
