"""The one writer: a decision's changes in one transaction, and the world read back."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
import sqlite3
from pathlib import Path

from launcher.core.messages.changes import Changes
from launcher.core.model.lease import Lease
from launcher.core.policy.settings import DEFAULT_RULES, Settings
from launcher.core.world.world import World
from launcher.crashpoints import crashpoint
from launcher.errors import StateDirError
from launcher.store import directory as statedir
from launcher.store import pruning
from launcher.store.connect import FILE_NAME, cannot, check, connect, damaged, explained
from launcher.store.load import CLOCK, load
from launcher.store.rows import audit_rows, event_rows, layout_rows, notify_rows, rows
from launcher.store.rows.job_rows import job_row
from launcher.store.schema import bring_up_to_date
from launcher.store.sql import queries

_Q = queries()
MOST_RESERVED = 4 * 2**20
"""The approximate size of the log when SQLite writes it into the database (1000 pages)."""


class Store:
    """The database of one state directory, locked for this process."""

    def __init__(
        self, directory: Path, connection: sqlite3.Connection, lock: int, store_id: str | None
    ) -> None:
        self.directory = directory
        self.path = directory / FILE_NAME
        self._db = connection
        self._lock = lock
        self._inode = self.path.stat().st_ino
        self.id = self._identity(store_id)
        self._ceiling = statedir.id_ceiling(directory)

    @classmethod
    def open(cls, directory: Path, store_id: str | None = None) -> Store:
        """Open or create the store of a state directory; a new one has ``store_id`` if given.

        Pages are read as they are needed; the whole file only after a check has found damage
        (``Reader.check``). Raises ``StateDirError`` (with the next step) if the directory is full,
        read-only or used by another daemon, ``DatabaseDamaged`` if the database is damaged or
        gone, ``SchemaTooNew`` if a newer launcher wrote it.
        """
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise cannot(f"make the directory {directory}", error) from error
        lock = statedir.lock(directory)
        path = directory / FILE_NAME
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, lock)
            statedir.must_not_be_gone(path)
            statedir.close_to_others(path)
            with explained(path):
                connection = connect(path)
                undo.callback(connection.close)
                if statedir.is_suspect(directory):
                    check(connection, path)
                    statedir.clear_suspicion(directory)
                bring_up_to_date(connection, path)
                store = cls(directory, connection, lock, store_id)
            statedir.remember_id(directory, store.id)
            statedir.remember_version(directory)
            statedir.clear_copies(directory)
            undo.pop_all()
        return store

    def close(self) -> None:
        """Close the database and unlock the directory."""
        self._db.close()
        os.close(self._lock)

    def _identity(self, wanted: str | None) -> str:
        """Return this store's id, created with it: containers have it in name and label."""
        row = self._db.execute(_Q["get_meta"], ("store",)).fetchone()
        if row:
            return str(row[0])
        store_id = wanted or secrets.token_hex(4)
        self._db.execute(_Q["put_meta"], ("store", store_id))
        return store_id

    def meta(self, key: str) -> str | None:
        """Return a stored value, such as the kernel's boot id."""
        with explained(self.path):
            row = self._db.execute(_Q["get_meta"], (key,)).fetchone()
        return str(row[0]) if row else None

    def put_meta(self, key: str, value: str) -> None:
        """Store a value."""
        with explained(self.path):
            self._db.execute(_Q["put_meta"], (key, value))

    def start_ids_after(self, last: int) -> None:
        """Assign no id up to ``last`` to a new job."""
        with explained(self.path):
            self._db.execute(_Q["forget_sequence"])
            self._db.execute(_Q["put_sequence"], (last,))

    def last_id(self) -> int:
        """Return the highest id that a job or array has or had."""
        with explained(self.path):
            return int(self._db.execute(_Q["next_id"]).fetchone()[0]) - 1

    def become(self, store_id: str) -> None:
        """Assign a new id, and delete the records of the machine that the store was on."""
        with explained(self.path):
            self._db.execute(_Q["forget_machine"])
            self._db.execute(_Q["put_meta"], ("store", store_id))
        self.id = store_id

    def reserve(self, mib: int) -> None:
        """Reserve space for the write-ahead log, so that small commits work on a full disk.

        Frames reuse the reserved space before the log grows. Some file systems cannot reserve;
        then nothing is reserved. 0 reserves nothing.
        """
        log = self.path.with_name(f"{self.path.name}-wal")
        size = min(mib * 2**20, MOST_RESERVED)
        with contextlib.suppress(OSError):
            free = os.statvfs(self.directory)
            if size and free.f_bavail * free.f_frsize > 2 * size:
                fd = os.open(log, os.O_RDWR | os.O_CLOEXEC)
                try:
                    os.posix_fallocate(fd, 0, size)
                finally:
                    os.close(fd)

    def commit(self, changes: Changes) -> None:
        """Write everything in one transaction, or nothing.

        Raises ``StateDirError`` if the disk fails, ``InternalError`` if a constraint is violated.
        """
        highest = max([*(job.id for job, _ in changes.new_jobs), *changes.arrays], default=0)
        if highest > self._ceiling:
            self._ceiling = statedir.raise_ceiling(self.directory, highest)
        with explained(self.path):
            self._must_be_there()
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

    def _must_be_there(self) -> None:
        """Raise ``StateDirError`` if the file was moved or deleted: SQLite would not notice."""
        try:
            inode = self.path.stat().st_ino
        except OSError:
            inode = None
        if inode != self._inode:
            raise StateDirError(
                f"{self.path} was moved or deleted while it was open",
                fix="Put it back, or stop the daemon and run launch serve --rebuild-from-docker.",
            )

    def _write(self, changes: Changes) -> None:
        db = self._db
        if not changes:  # a probe whether the disk accepts writes again
            db.execute(_Q["put_meta"], ("probe", secrets.token_hex(4)))
        new = {job.id for job, _ in changes.new_jobs}
        db.executemany(
            _Q["insert_array"], [rows.array_row(*new) for new in changes.arrays.values()]
        )
        db.executemany(_Q["reopen_job"], [(job_id,) for job_id in changes.reopened])
        db.executemany(_Q["insert_job"], [job_row(job, spec) for job, spec in changes.new_jobs])
        db.executemany(
            _Q["update_job"], [job_row(j) for j in changes.jobs.values() if j.id not in new]
        )
        db.executemany(_Q["put_attempt"], [rows.attempt_row(a) for a in changes.attempts.values()])
        # Ended leases first: a slice may change owners within one transaction.
        leases = sorted(changes.leases.values(), key=_live)
        db.executemany(_Q["put_lease"], [rows.lease_row(lease) for lease in leases])
        self._write_machine(changes)
        db.executemany(
            _Q["put_use"], [(uid, u.user, u.amount, u.at) for uid, u in changes.uses.items()]
        )
        if changes.capacity is not None:
            at, slices = changes.capacity
            db.execute(_Q["put_capacity"], (at, json.dumps(slices)))
        if changes.clock is not None:
            db.execute(_Q["put_meta"], (CLOCK, repr(changes.clock)))
        db.executemany(
            _Q["insert_history"], [(h.job, h.at, h.event, h.detail) for h in changes.history]
        )
        db.executemany(_Q["insert_event"], [event_rows.row(event) for event in changes.events])
        for owner, targets in changes.notify_targets.items():
            db.execute(_Q["delete_notify_targets"], (owner.uid,))
            if targets:
                row = (owner.uid, owner.name, notify_rows.targets_text(targets))
                db.execute(_Q["put_notify_targets"], row)
        failures = map(notify_rows.failure_row, changes.notify_failures)
        db.executemany(_Q["insert_notify_failure"], failures)
        db.executemany(_Q["insert_audit"], [audit_rows.row(line) for line in changes.audit])
        pruning.prune(db, changes.pruned)

    def _write_machine(self, changes: Changes) -> None:
        """Write the records of the machine, but not those of jobs."""
        db = self._db
        for uuid, quarantine in changes.quarantines.items():
            if quarantine is None:
                db.execute(_Q["delete_quarantine"], (uuid,))
            else:
                row = (uuid, quarantine.why, int(quarantine.lasting), quarantine.since)
                db.execute(_Q["put_quarantine"], row)
        for uuid, drain in changes.drains.items():
            if drain is None:
                db.execute(_Q["delete_drain"], (uuid,))
            else:
                db.execute(_Q["put_drain"], rows.drain_row(drain))
        for name, reservation in changes.reservations.items():
            db.execute(_Q["delete_reservation"], (name,))
            if reservation is not None:
                db.execute(_Q["put_reservation"], rows.reservation_row(reservation))
        self._write_images(changes)
        for (gpu, gi), place in changes.made.items():
            if place is None:
                db.execute(_Q["delete_made"], (gpu, gi))
            else:
                db.execute(_Q["put_made"], (gpu, gi, place.profile_id, place.start))
        ends_first = sorted(changes.layouts.values(), key=lambda op: op.is_active)
        db.executemany(_Q["put_layout"], map(layout_rows.row, ends_first))

    def _write_images(self, changes: Changes) -> None:
        """Write the owners of images, and the pulls with credentials that are under way."""
        db = self._db
        for image_id, uids in changes.private_images.items():
            db.execute(_Q["delete_private_image"], (image_id,))
            db.executemany(_Q["put_private_image"], [(image_id, uid) for uid in sorted(uids)])
        public = changes.public_images
        db.executemany(_Q["put_public_image"], [(image,) for image in public if public[image]])
        gone = [(image,) for image in public if not public[image]]
        db.executemany(_Q["delete_public_image"], gone)
        for (uid, name), own in changes.own_images.items():
            if own is None:
                db.execute(_Q["delete_own_image"], (uid, name))
            else:
                row = (uid, name, own.user, own.image_id, own.bytes, own.loaded_at)
                db.execute(_Q["put_own_image"], row)
        for image_id, pulled in changes.pulled_images.items():
            if pulled is None:
                db.execute(_Q["delete_pulled_image"], (image_id,))
            else:
                db.execute(_Q["put_pulled_image"], dataclasses.astuple(pulled))
        opened = [pull for pull, is_open in changes.pulls.items() if is_open]
        db.executemany(_Q["put_pull"], opened)
        db.executemany(_Q["delete_pull"], [p for p in changes.pulls if not changes.pulls[p]])

    def load(self, cpu_slots: int, rules: Settings = DEFAULT_RULES) -> World:
        """Read the live jobs, their attempts, leases and the quarantines into a new world.

        Raises ``DatabaseDamaged`` if a row cannot be understood.
        """
        with explained(self.path):
            try:
                return load(self._db, self.id, cpu_slots, rules)
            except (ValueError, TypeError, KeyError, OverflowError) as error:
                why = f"a row is invalid ({type(error).__name__}: {error})"
                raise damaged(self.path, why) from error


def _live(lease: Lease) -> bool:
    return lease.released_at is None
