"""Restores a backup in place of a database: checked, migrated, and with another id."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

from launcher.errors import DatabaseDamaged, StateDirError, UserError
from launcher.store import directory as statedir
from launcher.store.connect import FILE_NAME, cannot
from launcher.store.copying import COPIED_AT
from launcher.store.salvage.replacing import Replacing
from launcher.store.store import Store

WORK = "restoring"
ASIDE = f"{FILE_NAME}.replaced-"
MARGIN = 100_000
"""If the highest id is unknown to the state directory, this many are skipped."""


class Restoring(Replacing):
    """The work on one state directory; ``made_at`` and ``former_id`` are those of the backup."""

    def __init__(self, directory: Path, backup: Path, store_id: str) -> None:
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise cannot(f"make the directory {directory}", error) from error
        super().__init__(directory, WORK, ASIDE)
        self._backup = backup
        self.made_at: str | None = None
        self.former_id = ""
        try:
            self._open(store_id)
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def _open(self, store_id: str) -> None:
        _must_be_ours(self._backup)
        shutil.rmtree(self._work, ignore_errors=True)
        try:
            self._work.mkdir(mode=0o700)
            shutil.copyfile(self._backup, self._work / FILE_NAME)
        except OSError as error:
            raise cannot(f"copy {self._backup} to {self._work}", error) from error
        statedir.mark_suspect(self._work, "it may have been damaged since it was written")
        try:
            self.store = Store.open(self._work)
        except DatabaseDamaged as damaged:
            raise StateDirError(
                f"cannot restore {self._backup}: {damaged.message}", fix="Use another backup."
            ) from damaged
        self.made_at, self.former_id = self.store.meta(COPIED_AT), self.store.id
        self.store.become(store_id)

    def next_id(self) -> int:
        """Prevent ids from being assigned again; returns the next one.

        The highest id is known from a file beside the database. If that is lost too, ids continue
        far above those of the backup.
        """
        here = statedir.id_ceiling(self.directory)
        return self.start_ids_after(max(here, self.store.last_id() + (0 if here else MARGIN)))


def _must_be_ours(backup: Path) -> None:
    """Raise ``UserError`` for a file that is not a backup of a launcher."""
    try:
        with contextlib.closing(
            sqlite3.connect(f"{backup.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        ) as database:
            tables = {r[0] for r in database.execute("SELECT name FROM sqlite_schema")}
    except sqlite3.Error as error:
        raise UserError(f"{backup} is not a backup of a launcher: {error}") from error
    if not {"jobs", "meta", "leases"} <= tables:
        raise UserError(f"{backup} is not a backup of a launcher: it has other tables")
