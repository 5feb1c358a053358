"""Replaces the database of a state directory; the old one is set aside, not deleted."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from launcher.store import directory as statedir
from launcher.store.connect import FILE_NAME
from launcher.store.store import Store

BESIDE = ("", "-wal", "-shm")


class Replacing:
    """The work on one state directory, locked meanwhile; unchanged unless ``finish`` ran.

    ``aside`` is the prefix of the name of the file that is set aside.
    """

    store: Store

    def __init__(self, directory: Path, work: str, aside: str) -> None:
        self.directory, self._work, self._aside = directory, directory / work, aside
        self._lock = statedir.lock(directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if hasattr(self, "store"):
            self.store.close()
        shutil.rmtree(self._work, ignore_errors=True)
        os.close(self._lock)

    def start_ids_after(self, last: int) -> int:
        """Never assign an id up to ``last`` again; returns the next one."""
        self.store.start_ids_after(last)
        statedir.raise_ceiling(self.directory, last)
        return last + 1

    def finish(self, report: str) -> Path | None:
        """Set the old file aside and replace it by the new one; returns the path of the former."""
        store_id = self.store.id
        self.store.close()  # which writes its log into the file
        del self.store
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        aside = self.directory / f"{self._aside}{stamp}"
        statedir.remember_id(self.directory, store_id)
        (self.directory / f"{self._aside}{stamp}.report").write_text(report, "utf-8")
        for beside in BESIDE:
            file = self.directory / f"{FILE_NAME}{beside}"
            if file.exists():
                file.rename(f"{aside}{beside}")
        (self._work / FILE_NAME).rename(self.directory / FILE_NAME)
        statedir.clear_suspicion(self.directory)
        statedir.remember_version(self.directory)
        statedir.sync(self.directory)
        return aside if aside.exists() else None
