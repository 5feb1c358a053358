"""A directory that cannot be used says why and what to do; a crash keeps what was committed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.errors import StateDirError
from launcher.store import Reader, Store
from launcher.store.connect import FILE_NAME
from tests.support.small_disk import SmallDisk
from tests.unit.store.worlds import changes, done, job


def refused(directory: Path) -> StateDirError:
    with pytest.raises(StateDirError) as caught:
        Store.open(directory)
    assert caught.value.fix, "what to do is said"
    assert str(directory) in caught.value.message
    return caught.value


def test_a_directory_in_use_names_the_process_that_has_it(tmp_path: Path) -> None:
    holder = Store.open(tmp_path)
    assert f"pid {os.getpid()}" in refused(tmp_path).message
    holder.close()
    Store.open(tmp_path).close()


def test_a_directory_whose_holder_was_killed_is_free(tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from launcher.store import Store
Store.open(Path({str(tmp_path)!r}))
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", code], check=False)
    assert ended.returncode == -signal.SIGKILL
    Store.open(tmp_path).close()


def test_i5_kill_minus_nine_right_after_a_commit_returned_keeps_it(tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from launcher.store import Store
from tests.unit.store.worlds import changes, done, job, lease_of, starting
store = Store.open(Path({str(tmp_path)!r}))
one = starting(1)
store.commit(changes(new=(one,), leases=(lease_of(one),)))
store.commit(changes(new=tuple(job(n) for n in range(2, 50))))
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", code], check=False)
    assert ended.returncode == -signal.SIGKILL
    store = Store.open(tmp_path)
    world = store.load(1)
    assert (set(world.jobs), list(world.leases), world.next_id) == (set(range(1, 50)), [1], 50)
    store.close()


def test_a_file_in_place_of_the_directory_is_said(tmp_path: Path) -> None:
    place = tmp_path / "state"
    place.write_text("")
    assert "directory" in refused(place).message


def test_a_file_above_the_directory_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "directory" in refused(tmp_path / "file" / "state").message.lower()


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"not a database at all, but long enough" * 40)
    assert "damaged" in refused(tmp_path).message
    (tmp_path / FILE_NAME).unlink()
    Store.open(tmp_path).close()


def test_a_database_that_was_cut_off_is_said(tmp_path: Path) -> None:
    Store.open(tmp_path).close()
    os.truncate(tmp_path / FILE_NAME, 5000)
    assert "damaged" in refused(tmp_path).message


def test_a_directory_in_place_of_the_database_is_said(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    assert "cannot be opened" in refused(tmp_path).message


def test_a_read_only_disk_is_said(disk: SmallDisk) -> None:
    state = disk.path / "state"
    Store.open(state).close()
    disk.read_only()
    error = refused(state)
    assert "read-only" in error.message.lower()
    assert "writable" in (error.fix or "")
    assert "read-only" in refused(disk.path / "other").message.lower()


def test_a_full_disk_is_said_when_a_store_is_made(disk: SmallDisk) -> None:
    state = disk.path / "state"
    state.mkdir()
    disk.fill()
    error = refused(state)
    assert "space" in error.message or "full" in error.message
    assert "space" in (error.fix or "")
    disk.free()
    Store.open(state).close()


def test_a_full_disk_is_said_when_a_store_is_opened_again(disk: SmallDisk) -> None:
    state = disk.path / "state"
    Store.open(state).close()
    (state / "lock").unlink()
    disk.fill()
    assert "space" in (refused(state).fix or "")


def test_a_commit_on_a_full_disk_fails_whole_and_works_when_there_is_space(
    disk: SmallDisk,
) -> None:
    store = Store.open(disk.path)
    reader = Reader(disk.path)
    store.commit(changes(new=(job(1),)))
    disk.fill()
    many = changes(new=tuple(job(n) for n in range(2, 2000)))
    for _ in range(3):
        with pytest.raises(StateDirError, match="full") as caught:
            store.commit(many)
        assert "space" in (caught.value.fix or "")
    assert [j.id for j in reader.jobs_after(0, 10**6)] == [1]
    assert set(store.load(1).jobs) == {1}
    disk.free()
    store.commit(changes())  # the probe of a daemon that is read-only
    store.commit(changes(new=(job(2),)))
    assert [j.id for j in reader.jobs_after(0, 10**6)] == [1, 2]
    assert store._db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    reader.close()
    store.close()


def test_what_was_reserved_keeps_small_commits_going_on_a_full_disk(tmp_path: Path) -> None:
    ended = {}
    for mib in (0, 1):
        with SmallDisk(tmp_path / f"disk-{mib}", size="8m") as disk:
            store = Store.open(disk.path)
            store.reserve(mib)
            store.commit(changes(new=tuple(job(n) for n in range(1, 21))))
            disk.fill()
            ended[mib] = 0
            with contextlib.suppress(StateDirError):
                for number in range(1, 21):
                    store.commit(changes(done(number)))
                    ended[mib] += 1
            store.close()
            again = Store.open(disk.path)
            assert len(again.load(1).jobs) == 20 - ended[mib]
            again.close()
    assert ended == {0: 0, 1: 20}


def test_what_was_reserved_is_no_part_of_the_log(tmp_path: Path) -> None:
    """A program that dies leaves zeros behind its last commit; they are not read as one."""
    store = Store.open(tmp_path / "state")
    store.reserve(2)
    store.commit(changes(new=(job(1),)))
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "state", copy)
    assert (copy / f"{FILE_NAME}-wal").stat().st_size >= 2**21
    store.close()
    again = Store.open(copy)
    assert set(again.load(1).jobs) == {1}
    again.close()


def test_a_probe_really_writes(disk: SmallDisk) -> None:
    """An empty transaction would tell that the disk works when it does not."""
    store = Store.open(disk.path)
    disk.fill()
    with pytest.raises(StateDirError):
        for _ in range(200):
            store.commit(changes())
    store.close()


def test_a_reader_of_nothing_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(StateDirError, match="cannot be opened"):
        Reader(tmp_path)


def test_a_remembered_value_outlives_the_process(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    assert store.meta("boot_id") is None
    store.put_meta("boot_id", "a")
    store.put_meta("boot_id", "b")
    store.close()
    again = Store.open(tmp_path)
    assert again.meta("boot_id") == "b"
    again.close()


def test_nobody_else_may_look_into_a_new_state_directory(tmp_path: Path) -> None:
    Store.open(tmp_path / "state").close()
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_nobody_else_reads_the_database_also_in_a_directory_open_to_all(tmp_path: Path) -> None:
    directory = tmp_path / "open"
    directory.mkdir()
    directory.chmod(0o755)
    (directory / "launcher.db").touch(mode=0o644)
    store = Store.open(directory)
    store.commit(changes(new=(job(1),)))
    modes = {path.name: path.stat().st_mode & 0o777 for path in directory.glob("launcher.db*")}
    store.close()
    assert len(modes) >= 2
    assert set(modes.values()) == {0o600}, modes
