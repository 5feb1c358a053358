"""What cannot be opened whole is closed again: the error alone does not keep a file open."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher.daemon.api.server import bind
from launcher.errors import StateDirError, Unavailable
from launcher.gpu import claim
from launcher.mount_helper.server import bound
from launcher.output.log_file import LogWriter
from launcher.output.sources import taken_over
from launcher.store.connect import connect
from launcher.store.salvage.salvage import Salvage

LONG = "x" * 200
"""A unix socket's path has at most 107 bytes."""


def of_no_database(place: Path) -> None:
    (place / "file").write_bytes(b"no database" * 1000)
    connect(place / "file")


def of_a_salvage_whose_target_is_closed(place: Path) -> None:
    into = sqlite3.connect(place / "into")
    into.close()
    Salvage(place / "from", into).run()


def of_a_lock_file_that_cannot_be_written(place: Path) -> None:
    (place / "GPU-1.lock").symlink_to("/dev/full")
    claim("GPU-1", place, store="s")


def of_an_output_that_is_no_socket(place: Path) -> None:
    with (place / "file").open("wb") as file:
        taken_over([file.fileno()], lambda: LogWriter(place / "log", 1))


CASES: dict[Callable[[Path], object], type[Exception]] = {
    of_no_database: sqlite3.DatabaseError,
    of_a_salvage_whose_target_is_closed: sqlite3.ProgrammingError,
    of_a_lock_file_that_cannot_be_written: Unavailable,
    of_an_output_that_is_no_socket: OSError,
    lambda place: bind(place / LONG, mode=0o600): StateDirError,
    lambda place: bound(str(place / LONG)): OSError,
}


def opened() -> dict[str, str]:
    """Return what this process has open, by its number."""
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # that of the directory which is read
            found[entry.name] = str(entry.readlink())
    return found


@pytest.mark.parametrize("case", CASES)
def test_nothing_stays_open(case: Callable[[Path], object], tmp_path: Path) -> None:
    before = opened()
    with pytest.raises(CASES[case]) as held:
        case(tmp_path)
    after = opened()
    assert not after.items() - before.items(), held
