"""The work on one state directory: locked meanwhile, and unchanged until it is finished."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.errors import StateDirError
from launcher.store import Store
from launcher.store import directory as statedir
from launcher.store.connect import FILE_NAME
from launcher.store.salvage.replacing import BESIDE, Replacing


def replacing(directory: Path) -> Replacing:
    """Return the work with a new, empty store in its place."""
    work = Replacing(directory, "working", "set-aside-")
    work.store = Store.open(directory / "working", "0123abcd")
    return work


def test_the_old_files_are_set_aside_and_the_new_one_is_in_place(tmp_path: Path) -> None:
    for beside in BESIDE:
        (tmp_path / f"{FILE_NAME}{beside}").write_text(f"old{beside}")
    statedir.mark_suspect(tmp_path, "page 3")
    with replacing(tmp_path) as work:
        aside = work.finish("as told")
    assert aside is not None
    assert aside.name.startswith("set-aside-")
    assert [aside.with_name(f"{aside.name}{b}").read_text() for b in BESIDE] == [
        f"old{beside}" for beside in BESIDE
    ]
    assert not statedir.is_suspect(tmp_path)
    assert not (tmp_path / "working").exists()
    store = Store.open(tmp_path)
    assert store.id == "0123abcd"
    store.close()


def test_where_there_was_no_database_only_the_report_is_set_aside(tmp_path: Path) -> None:
    with replacing(tmp_path) as work:
        assert work.finish("as told") is None
    (report,) = tmp_path.glob("set-aside-*")
    assert report.read_text() == "as told"


def test_work_that_is_given_up_leaves_the_database_and_no_files(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("old")
    with pytest.raises(KeyError), replacing(tmp_path):
        raise KeyError
    assert (tmp_path / FILE_NAME).read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == [FILE_NAME, "lock"]


def test_the_directory_is_locked_until_the_work_is_over(tmp_path: Path) -> None:
    with replacing(tmp_path), pytest.raises(StateDirError, match="in use"):
        Store.open(tmp_path)
    Store.open(tmp_path).close()


def test_no_id_up_to_the_last_is_given_out_again(tmp_path: Path) -> None:
    with replacing(tmp_path) as work:
        assert work.start_ids_after(5000) == 5001
        assert work.store.last_id() == 5000
    assert statedir.id_ceiling(tmp_path) > 5000
