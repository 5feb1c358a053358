"""A damaged file is read as far as it goes; whatever is wrong with it, the result is a database."""

from __future__ import annotations

import dataclasses
import errno
import itertools
import json
import os
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.core.messages.changes import HistoryLine
from launcher.core.model.arrays import Array, ArrayTemplate
from launcher.core.model.job import Element
from launcher.core.model.layout_change import LayoutOp, OpResult, OpState
from launcher.core.recovery.rebuild import RebuiltJobs
from launcher.store import Reader, Store, Stored
from launcher.store.connect import FILE_NAME, connect
from launcher.store.rows import job_rows
from launcher.store.rows.job_rows import job_row
from launcher.store.salvage.pages import Pages
from launcher.store.salvage.rebuild import Rebuilding, RebuildReport, copy_readable
from launcher.store.salvage.salvage import FROM_PAGES, Salvaged
from launcher.store.sql import migrations
from tests.drills.histories import History
from tests.support.builders import ALICE, mig
from tests.unit.store.worlds import AT, attempt_of, changes, done, job, lease_of, starting

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
        next_id = work.next_id_after(0)
        reader = Reader(state / "rebuilding")
        specs = {one.id: _spec(reader, one.id) for one in reader.jobs_after(0, 10**6)}
        reader.close()
        assert work.store._db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert work.store._db.execute("PRAGMA foreign_key_check").fetchall() == []
        assert found.counts.get("jobs", 0) == len(specs)
        work.finish("report")
    store = Store.open(state)
    assert store.load(1).next_id == next_id
    store.close()
    return specs, set(world.jobs), next_id


def _spec(reader: Reader, job_id: int) -> str:
    stored = reader.spec(job_id)
    return "" if stored is None else stored.document


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


def test_a_wrong_page_size_in_the_header_loses_no_job(state: Path) -> None:
    with (state / FILE_NAME).open("r+b") as file:
        file.seek(16)
        file.write((512).to_bytes(2, "big"))
    specs, waiting, _ = salvaged(state)
    assert (len(specs), waiting) == (JOBS, WAITING)


def test_without_its_first_page_attempts_leases_and_history_are_found_too(tmp_path: Path) -> None:
    """Tables without a rowid have rows on leaves and above them, some longer than a page."""
    store, cause = Store.open(tmp_path), "x" * 9000
    ended = [done(n, attempt=1, slices=(mig(0).uuid,)) for n in range(1, 300)]
    runs = starting(300, 1)
    store.commit(changes(
        new=(*ended, runs),
        attempts=tuple(
            dataclasses.replace(attempt_of(one), cause=cause if one.id % 50 == 0 else None)
            for one in (*ended, runs)
        ),
        leases=(*(lease_of(one, 0, AT) for one in ended), lease_of(runs, 1)),
        history=tuple(HistoryLine(one.id, AT, "submitted", "by alice") for one in ended),
    ))  # fmt: skip
    store.close()
    database = tmp_path / FILE_NAME
    before = _dump(database, "attempts", "leases", "history")
    assert len(before) == 2 * 300 + 299
    database.write_bytes(bytes(4096) + database.read_bytes()[4096:])
    with Rebuilding(tmp_path) as work:
        assert not work.salvage("12345678").whole
        work.finish("")
    assert _dump(database, "attempts", "leases", "history") == before


def test_every_row_that_is_searched_in_pages_tells_its_table() -> None:
    """By the number of its columns and by whether it has a rowid, in every schema so far."""
    db, shapes = sqlite3.connect(":memory:"), dict[tuple[int, int], set[str]]()
    now: dict[str, tuple[int, int]] = {}
    for script in migrations():
        db.executescript(script)
        now = {name: (keyed, count) for name, keyed, count in db.execute(
            "SELECT name, wr, ncol FROM pragma_table_list WHERE name NOT LIKE 'sqlite_%'"
        )}  # fmt: skip
        for table, shape in now.items():
            shapes.setdefault(shape, set()).add(table)
    db.close()
    for table, appended in FROM_PAGES.items():
        keyed, present = now[table]
        for lacking in itertools.accumulate(appended, initial=0):
            assert shapes.get((keyed, present - lacking)) == {table}


def test_a_job_that_ended_holds_no_slice_after_a_rebuild(tmp_path: Path) -> None:
    store, ended = Store.open(tmp_path), done(1, attempt=1)
    store.commit(changes(new=(ended,), attempts=(attempt_of(ended),), leases=(lease_of(ended),)))
    store.close()
    with Rebuilding(tmp_path) as work:
        work.salvage("12345678")
        assert work.store.load(1).leases == {}


def test_a_job_that_asks_for_an_unknown_kind_of_slice_is_left_out(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store.commit(changes(new=(job(1), job(2))))
    store._db.execute("UPDATE jobs SET need = replace(need, 'profile', 'pr/file') WHERE id = 1")
    store.close()
    with Rebuilding(tmp_path) as work:
        assert work.salvage("12345678").left == {"jobs": 1}
        assert set(work.store.load(1).jobs) == {2}


def test_a_layout_change_that_was_open_has_failed_and_is_shown_so(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store.commit(changes(layouts={n: LayoutOp(n, "create", "", ALICE, AT) for n in (1, 2)}))
    store._db.execute("UPDATE layouts SET document = '{}' WHERE id = 2")
    store.close()
    with Rebuilding(tmp_path) as work:
        assert work.salvage("12345678").left == {"layouts": 1}
        assert work.store.load(1).layouts == {}
        reader = Reader(tmp_path / "rebuilding")
        (op,) = reader.layouts(9)
        reader.close()
    assert (op.state, op.result, op.ended_at) == (OpState.DONE, OpResult.FAILED, AT)


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
    later = ("policy_version", "kill_now", "kept_bytes", "interactive", "has_ports")
    names = [name for name in row if name not in later]
    marks = ", ".join(f":{name}" for name in names)
    old.execute(f"INSERT INTO jobs ({', '.join(names)}) VALUES ({marks})", row)
    old.close()
    store = Store.open(tmp_path)
    store.commit(changes(new=(job(2, policy_version=7, kept_bytes=5),)))
    store.close()
    database = tmp_path / FILE_NAME
    database.write_bytes(bytes(4096) + database.read_bytes()[4096:])
    with Rebuilding(tmp_path) as work:
        work.salvage("12345678")
        found = work.store.load(1).jobs
    assert {number: one.policy_version for number, one in found.items()} == {1: None, 2: 7}
    assert [one.kept_bytes for one in found.values()] == [0, 5]


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


def with_sweep(directory: Path, document: str) -> None:
    """A store with an array of two elements, and so many jobs that it takes several pages."""
    store = Store.open(directory)
    made = changes(new=tuple(job(n) for n in range(4, 100)))
    made.arrays[1] = (Array(1, ALICE, "sweep", 2, None, "0-1"), ArrayTemplate(document, ("lr",)))
    made.new_jobs += [(job(2 + n, element=Element(1, n, (("lr", str(n)),))), "") for n in range(2)]
    store.commit(made)
    store.close()


def specs_after(directory: Path) -> tuple[Salvaged, list[Stored | None]]:
    """Rebuild a store; returns what the elements 2 and 3 are made of in the new one."""
    with Rebuilding(directory) as work:
        found = work.salvage("12345678")
        assert {2, 3} <= set(work.store.load(1).jobs)
        reader = Reader(directory / "rebuilding")
        specs = [reader.spec(2), reader.spec(3)]
        reader.close()
    return found, specs


@pytest.mark.parametrize("length", [10, 100_000])
def test_templates_are_salvaged_with_their_arrays(tmp_path: Path, length: int) -> None:
    document = json.dumps({"command": ["${lr}" + "x" * length]})
    with_sweep(tmp_path, document)
    expected = [Stored(document, ("lr",), {"lr": str(n)}) for n in range(2)]
    assert specs_after(tmp_path)[1] == expected
    database = tmp_path / FILE_NAME
    database.write_bytes(bytes(4096) + database.read_bytes()[4096:])
    found, specs = specs_after(tmp_path)
    assert (found.whole, specs, found.unasked) == (False, expected, 0)


def test_an_array_of_an_older_version_is_found_in_its_page(tmp_path: Path) -> None:
    """Its row is shorter: it has no template, and its elements have specs of their own."""
    old, steps = connect(tmp_path / FILE_NAME), migrations()
    for number, script in enumerate(steps[:11], start=1):
        old.executescript(f"{script}; PRAGMA user_version = {number};")
    old.execute("INSERT INTO arrays VALUES (1, 1000, 1000, 'alice', 'sweep', 5, 2, '0-4')")
    row = job_row(job(2, element=Element(1, 0, (("lr", "1"),))), '{"command":["1"]}')
    names = [r[1] for r in old.execute("PRAGMA table_info(jobs)")]
    marks = ", ".join(f":{name}" for name in names)
    old.execute(f"INSERT INTO jobs VALUES ({marks})", row)
    old.close()
    Store.open(tmp_path).close()
    database = tmp_path / FILE_NAME
    database.write_bytes(bytes(4096) + database.read_bytes()[4096:])
    with Rebuilding(tmp_path) as work:
        work.salvage("12345678")
        array = work.store.load(1).arrays[1]
        assert (array.size, array.max_parallel, array.indices) == (5, 2, "0-4")
        reader = Reader(tmp_path / "rebuilding")
        assert reader.spec(2) == Stored('{"command":["1"]}')
        reader.close()


def test_elements_whose_template_is_lost_are_kept_and_told(tmp_path: Path) -> None:
    with_sweep(tmp_path, '{"command":["${lr}"]}')
    store = Store.open(tmp_path)
    store._db.execute("PRAGMA foreign_keys = OFF")
    store._db.execute("DELETE FROM arrays")
    store.close()
    found, specs = specs_after(tmp_path)
    assert (specs, found.unasked) == ([None, None], 2)
    told = RebuildReport(found, RebuiltJobs(), 100, []).lines()
    assert [line for line in told if line.startswith("of 2 elements of arrays the request is lost")]


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


def _dump(path: Path, *tables: str) -> list[str]:
    """Return the statements that make a database, or those that fill some of its tables."""
    connection = sqlite3.connect(path)
    lines = [line for line in connection.iterdump() if "sqlite_sequence" not in line]
    connection.close()
    starts = tuple(f'INSERT INTO "{table}"' for table in tables)
    return sorted(line for line in lines if line.startswith(starts or ""))


def test_values_of_a_matrix_that_are_no_mapping_are_damage() -> None:
    row = {"id": 5, "array_id": 1, "array_index": 0, "params": "7"}
    with pytest.raises(ValueError, match=r"job 5 .* not a mapping"):
        job_rows._element(row)
