"""The files beside the database: ids that must not recur, versions, suspicion, the lock."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from launcher import __version__
from launcher.errors import DatabaseDamaged, StateDirError
from launcher.store import directory as statedir
from launcher.store.connect import FILE_NAME


@pytest.mark.parametrize("text", ["", "xyz", "ABCDEF01", "0123456", "012345678", "\u00e9" * 8])
def test_only_a_whole_id_is_remembered(tmp_path: Path, text: str) -> None:
    assert statedir.remembered_id(tmp_path) is None
    (tmp_path / statedir.ID_FILE).write_text(text, "utf-8")
    assert statedir.remembered_id(tmp_path) is None
    statedir.remember_id(tmp_path, "0123abcd")
    assert statedir.remembered_id(tmp_path) == "0123abcd"


@pytest.mark.parametrize(
    ("least", "ceiling"), [(0, 1000), (998, 1000), (999, 1000), (1000, 2000), (7041, 8000)]
)
def test_the_ceiling_of_ids_is_above_the_last_and_a_multiple_of_a_thousand(
    tmp_path: Path, least: int, ceiling: int
) -> None:
    assert statedir.id_ceiling(tmp_path) == 0
    assert statedir.raise_ceiling(tmp_path, least) == ceiling
    assert statedir.id_ceiling(tmp_path) == ceiling


@pytest.mark.parametrize("text", ["", "-5", "1e9", "9" * 16, "x"])
def test_a_ceiling_that_makes_no_sense_is_unknown(tmp_path: Path, text: str) -> None:
    (tmp_path / statedir.CEILING_FILE).write_text(text)
    assert statedir.id_ceiling(tmp_path) == 0


def test_the_version_that_used_the_store_last_is_remembered(tmp_path: Path) -> None:
    assert statedir.written_by(tmp_path) is None
    (tmp_path / statedir.VERSION_FILE).write_text("0.0.1\n")
    assert statedir.written_by(tmp_path) == "0.0.1"
    statedir.remember_version(tmp_path)
    assert statedir.written_by(tmp_path) == __version__


def test_a_suspicion_stays_until_it_is_cleared(tmp_path: Path) -> None:
    assert not statedir.is_suspect(tmp_path)
    statedir.mark_suspect(tmp_path, "page 3\n\u00e9")
    assert statedir.is_suspect(tmp_path)
    assert len((tmp_path / statedir.SUSPECT_FILE).read_text().splitlines()) == 1
    statedir.clear_suspicion(tmp_path)
    statedir.clear_suspicion(tmp_path)
    assert not statedir.is_suspect(tmp_path)


def test_a_directory_that_cannot_be_written_costs_only_what_is_remembered(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    assert statedir.raise_ceiling(gone, 5) == 1000
    statedir.remember_id(gone, "0123abcd")
    statedir.mark_suspect(gone, "why")
    statedir.clear_copies(gone)
    assert not gone.exists()


def test_copies_for_clients_are_deleted_and_other_files_stay(tmp_path: Path) -> None:
    for name in (f"{statedir.BACKUP_PREFIX}1234", "mine"):
        (tmp_path / name).touch()
    statedir.clear_copies(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_database_that_was_here_and_is_gone_or_empty_is_damage(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    statedir.must_not_be_gone(path)
    statedir.remember_id(tmp_path, "0123abcd")
    with pytest.raises(DatabaseDamaged, match="it is missing"):
        statedir.must_not_be_gone(path)
    path.touch()
    with pytest.raises(DatabaseDamaged, match="it is missing"):
        statedir.must_not_be_gone(path)
    path.write_text("x")
    statedir.must_not_be_gone(path)


def test_the_database_and_what_is_beside_it_are_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    for name in (path, path.with_name(f"{path.name}-wal")):
        name.touch()
        name.chmod(0o644)
    statedir.close_to_others(path)
    modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes == {0o600}


def test_a_directory_has_one_daemon_whose_pid_is_told(tmp_path: Path) -> None:
    held = statedir.lock(tmp_path)
    with pytest.raises(StateDirError, match=rf"in use .*\(pid {os.getpid()}\)"):
        statedir.lock(tmp_path)
    os.close(held)
    os.close(statedir.lock(tmp_path))


def test_a_directory_that_is_not_there_cannot_be_locked(tmp_path: Path) -> None:
    with pytest.raises(StateDirError, match="cannot write in"):
        statedir.lock(tmp_path / "gone")
