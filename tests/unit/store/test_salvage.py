"""A damaged file is read as far as it goes; whatever is wrong with it, the result is a database."""

from __future__ import annotations

import errno
import json
import os
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.core.changes import HistoryLine
from launcher.core.job import Element
from launcher.store import Reader, Store, jobrows
from launcher.store.connect import FILE_NAME, connect
from launcher.store.jobrows import job_row
from launcher.store.pages import Pages
from launcher.store.rebuild import Rebuilding, copy_readable
from launcher.store.sql import migrations
from tests.drills.histories import History
from tests.unit.store.worlds import AT, changes, done, job

JOBS = 400


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A store with many pages of jobs, two of them with a spec longer than a page."""
    store = Store.open(tmp_path / "state")
    made = changes(
        new=tuple((done if n % 4 == 0 else job)(n) for n in range(1, JOBS + 1)),
        history=tuple(HistoryLine(n, AT, "submitted", "by alice") for n in range(1, JOBS + 1)),
    )
    made.new_jobs = [
        (one, json.dumps({"x": "ä" * (20_000 if one.id in (5, 300) else 300)}))
        for one, _ in made.new_jobs
    ]
    store.commit(made)
    store.close()
    yield tmp_path / "state"


def salvaged(state: Path) -> tuple[dict[int, str], set[int], int]:
    """Return the specs by job, the jobs that wait, and the next id of the rebuilt database."""
    with Rebuilding(state) as work:
        found = work.salvage(work.store_id() or "12345678")
        world = work.store.load(1)
        next_id = work.begin_ids_after(0)
        reader = Reader(state / "rebuilding")
        specs = {one.id: reader.spec(one.id) or "" for one in reader.jobs_after(0, 10**6)}
        reader.close()
        assert work.store._db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert work.store._db.execute("PRAGMA foreign_key_check").fetchall() == []
        assert found.counts.get("jobs", 0) == len(specs)
        work.finish("report")
    store = Store.open(state)
    assert store.load(1).next_id == next_id
    store.close()
    return specs, set(world.jobs), next_id


WAITING = {n for n in range(1, JOBS + 1) if n % 4}


def test_a_well_file_is_read_whole(state: Path) -> None:
    specs, waiting, next_id = salvaged(state)
    assert (len(specs), waiting, next_id) == (JOBS, WAITING, 1001)
    assert len(json.loads(specs[300])["x"]) == 20_000


def test_without_its_first_page_every_job_is_found_in_the_others(state: Path) -> None:
    database = state / FILE_NAME
    database.write_bytes(bytes(4096) + database.read_bytes()[4096:])
    specs, waiting, next_id = salvaged(state)
    assert (len(specs), waiting) == (JOBS, WAITING)
    assert next_id > JOBS
    assert len(json.loads(specs[300])["x"]) == 20_000


def test_where_nothing_tells_how_far_ids_went_many_are_left_out(state: Path) -> None:
    (state / "highest-id").unlink()
    database = state / FILE_NAME
    database.write_bytes(bytes(4096) + database.read_bytes()[4096:])
    assert salvaged(state)[2] > JOBS + 1000


def test_ids_go_on_above_all_that_were_given_out_whatever_the_file_holds(state: Path) -> None:
    store = Store.open(state)
    store.commit(changes(new=(job(7041),)))
    store.close()
    (state / FILE_NAME).unlink()
    specs, waiting, next_id = salvaged(state)
    assert (specs, waiting) == ({}, set())
    assert next_id == 8001


def test_what_only_the_log_has_is_found_too(state: Path) -> None:
    """The program died with commits in the log, then the first page was lost in both."""
    store = Store.open(state)
    store.commit(changes(new=(job(JOBS + 1),)))
    database, log = (state / name for name in (FILE_NAME, f"{FILE_NAME}-wal"))
    content, frames = database.read_bytes(), log.read_bytes()
    store.close()
    database.write_bytes(bytes(4096) + content[4096:])
    log.write_bytes(frames)
    assert JOBS + 1 in {rowid for rowid, values in Pages(database, log).rows() if len(values) > 40}


def test_rows_of_before_a_column_was_added_are_found_in_their_pages(tmp_path: Path) -> None:
    """SQLite adds a column to the schema alone: rows that are there stay as short as they are."""
    old, steps = connect(tmp_path / FILE_NAME), migrations()
    for number, script in enumerate(steps[:8], start=1):
        old.executescript(f"{script}; PRAGMA user_version = {number};")
    row = job_row(job(1), "{}")
    names = [name for name in row if name not in ("policy_version", "kill_now")]
    marks = ", ".join(f":{name}" for name in names)
    old.execute(f"INSERT INTO jobs ({', '.join(names)}) VALUES ({marks})", row)
    old.close()
    store = Store.open(tmp_path)
    store.commit(changes(new=(job(2, policy_version=7),)))
    store.close()
    database = tmp_path / FILE_NAME
    database.write_bytes(bytes(4096) + database.read_bytes()[4096:])
    with Rebuilding(tmp_path) as work:
        work.salvage("12345678")
        found = work.store.load(1).jobs
    assert {number: one.policy_version for number, one in found.items()} == {1: None, 2: 7}


@pytest.mark.parametrize("seed", range(4))
def test_pages_that_are_destroyed_take_only_their_own_rows(state: Path, seed: int) -> None:
    database, choose = state / FILE_NAME, random.Random(seed)
    content = bytearray(database.read_bytes())
    pages = len(content) // 4096
    for page in choose.sample(range(pages), 3):
        content[page * 4096 : (page + 1) * 4096] = choose.randbytes(4096)
    database.write_bytes(content)
    specs, waiting, next_id = salvaged(state)
    assert len(specs) > JOBS * 0.8
    assert waiting <= WAITING, "no job that ended waits again"
    assert next_id > max(specs)


@pytest.mark.parametrize("seed", range(8))
def test_no_damage_makes_the_rebuild_fail(state: Path, seed: int) -> None:
    """Flipped bits, cut files, noise in the log: something may be lost, never the program."""
    database, choose = state / FILE_NAME, random.Random(seed)
    content = bytearray(database.read_bytes())
    for _ in range(choose.choice((1, 20, 500))):
        content[choose.randrange(len(content))] ^= 1 << choose.randrange(8)
    if seed % 3 == 0:
        del content[choose.randrange(len(content)) :]
    database.write_bytes(content)
    (state / f"{FILE_NAME}-wal").write_bytes(choose.randbytes(9000) if seed % 2 else b"")
    salvaged(state)


def test_blocks_that_the_disk_cannot_read_cost_only_themselves(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"a" * 4096 + b"b" * 4096 + b"c" * 100)

    def pread(fd: int, size: int, at: int) -> bytes:
        if at == 4096:
            raise OSError(errno.EIO, "Input/output error")
        return os.pread(fd, size, at)

    assert copy_readable(source, target, pread) == 1
    assert target.read_bytes() == b"a" * 4096 + bytes(4096) + b"c" * 100


def test_a_real_history_is_salvaged_as_it_was(tmp_path: Path) -> None:
    store, history = Store.open(tmp_path), History(3)
    for _ in range(60):
        history.step()
        store.commit(history.machine.world.take_changes())
    store.close()
    before = _dump(tmp_path / FILE_NAME)
    with Rebuilding(tmp_path) as work:
        assert work.salvage(work.store_id() or "").whole
        work.finish("")
    assert _dump(tmp_path / FILE_NAME) == before


def test_elements_of_an_array_that_is_lost_keep_together(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store._db.execute("PRAGMA foreign_keys = OFF")
    store.commit(changes(new=(job(2, element=Element(1, 0)), job(3, element=Element(1, 1)))))
    store.close()
    with Rebuilding(tmp_path) as work:
        work.salvage("12345678")
        array = work.store.load(1).arrays[1]
        assert (array.size, array.live) == (2, {2, 3})


def test_the_damaged_file_is_kept_under_another_name(state: Path) -> None:
    content = b"\xa5" * 40960
    (state / FILE_NAME).write_bytes(content)
    salvaged(state)
    (aside,) = state.glob(f"{FILE_NAME}.damaged-*Z")
    assert aside.read_bytes() == content
    assert (state / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_a_rebuild_that_was_cut_off_after_the_file_was_set_aside_goes_on(state: Path) -> None:
    with Rebuilding(state) as work:
        work.salvage(work.store_id() or "")
        work.finish("")
    (state / FILE_NAME).unlink()
    specs, waiting, _ = salvaged(state)
    assert (len(specs), waiting) == (JOBS, WAITING)


def _dump(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    lines = [line for line in connection.iterdump() if "sqlite_sequence" not in line]
    connection.close()
    return sorted(lines)


def test_values_of_a_matrix_that_are_no_mapping_are_damage() -> None:
    row = {"id": 5, "array_id": 1, "array_index": 0, "params": "7"}
    with pytest.raises(ValueError, match=r"job 5 .* no mapping"):
        jobrows._element(row)
