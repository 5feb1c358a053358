"""Log files: torn ends, going on without repeating, the size limit, blocks, old files."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.output import blocks
from launcher.output.log_file import LogWriter, path_of
from launcher.output.parsing import DAMAGED
from launcher.output.reader import LogReader, opened
from launcher.wire import END, NOTE, STDERR, STDOUT, Frame
from tests.support.logs import LIMIT, bytes_of, read_all, write

MiB = 1 << 20
LONG = b"L"
"""Stands for much data in what Hypothesis draws, which it prints whole."""
drawn = st.lists(
    st.builds(
        Frame,
        st.sampled_from([STDOUT, STDERR]),
        st.integers(1, 10**19),
        st.one_of(st.binary(min_size=1, max_size=30), st.just(LONG)),
    ),
    max_size=6,
)


def frames_of(some: list[Frame]) -> list[Frame]:
    """Return the frames that were drawn, the long ones in their length."""
    return [replace(one, data=one.data * 50_000) if one.data == LONG else one for one in some]


def test_a_thousand_jobs_share_a_folder(tmp_path: Path) -> None:
    assert path_of(tmp_path, 12999, 3) == tmp_path / "12" / "12999.3.log"


def test_what_is_written_is_read_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "0" / "1.1.log"
    some = [Frame(STDOUT, 5, b"out"), Frame(STDERR, 6, b""), Frame(STDOUT, 7, b"\0\xff")]
    write(path, *some)
    assert read_all(path) == some
    assert path.stat().st_mode & 0o777 == 0o600


@settings(deadline=None)
@given(some=drawn, more=drawn, cut=st.floats(0, 1))
def test_a_torn_end_is_cut_off_and_the_rest_is_kept(
    tmp_path_factory: pytest.TempPathFactory, some: list[Frame], more: list[Frame], cut: float
) -> None:
    some, more = frames_of(some), frames_of(more)
    path = tmp_path_factory.mktemp("torn") / "log"
    write(path, *some)
    os.truncate(path, round(cut * path.stat().st_size))
    kept = read_all(path)
    before = read_all(path, as_written=True)
    writer = LogWriter(path, LIMIT)
    counted = writer.totals
    writer.close()
    assert (counted.stdout, counted.stderr) == tuple(map(len, bytes_of(kept)))
    write(path, *more)
    assert read_all(path, as_written=True)[: len(before)] == before
    out, err = bytes_of(kept)
    out_more, err_more = bytes_of(more)
    assert bytes_of(read_all(path)) == (out + out_more, err + err_more)


@settings(deadline=None)
@given(some=drawn)
def test_no_frame_crosses_a_block_and_every_block_tells_what_was_before(
    tmp_path_factory: pytest.TempPathFactory, some: list[Frame]
) -> None:
    some = frames_of(some)
    path = tmp_path_factory.mktemp("blocks") / "log"
    write(path, *some)
    whole = path.read_bytes()
    for start in range(0, len(whole), blocks.BLOCK_BYTES):
        totals = blocks.Totals.decode(whole[start:])
        assert totals is not None
        short = path.with_name("short")
        short.write_bytes(whole[:start])
        out, err = bytes_of(read_all(short))
        assert (totals.stdout, totals.stderr) == (len(out), len(err))
        assert totals.newlines == (out + err).count(b"\n")


def test_past_the_limit_there_is_one_note_and_the_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, *(Frame(STDOUT, n, b"x" * 1000) for n in range(1, 4000)), limit=2 * MiB)
    found = read_all(path)
    assert path.stat().st_size < 2 * MiB + 200
    assert [f.stream for f in found][-2:] == [NOTE, END]
    assert found[-2].data == b"the log was cut here: it reached 2 MiB"
    before = path.read_bytes()
    write(path, Frame(STDOUT, 9, b"z"), limit=2 * MiB)
    assert path.read_bytes() == before, "it stays cut when it is opened again"


def test_a_log_that_may_have_less_than_others_says_why_where_it_is_cut(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path / "log", 10, "the quota is used up")
    writer.write([Frame(STDOUT, 1, b"x" * 11)])
    writer.close()
    assert read_all(tmp_path / "log")[0].data == b"the log was cut here: the quota is used up"


def test_the_end_is_marked_once_however_often_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for _ in range(3):
        writer = LogWriter(path, LIMIT)
        writer.end(1)
        assert writer.ended
        writer.close()
    assert [f.stream for f in read_all(path)] == [END]


def test_a_note_is_never_cut_in_two_by_the_end_of_a_block(tmp_path: Path) -> None:
    path = tmp_path / "log"
    writer = LogWriter(path, LIMIT)
    writer.write([Frame(STDOUT, 1, b"x" * (blocks.BLOCK_BYTES - blocks.HEADER_BYTES - 13 - 30))])
    writer.note("something is missing here, as a sentence tells", 2)
    writer.close()
    assert read_all(path)[-1].data == b"something is missing here, as a sentence tells"


def test_a_link_in_place_of_a_log_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"keep")
    (tmp_path / "log").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="symbolic links"):
        LogWriter(tmp_path / "log", LIMIT)
    assert (tmp_path / "target").read_bytes() == b"keep"


def test_a_reader_sees_whole_frames_only_and_each_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    lines = [Frame(STDOUT, n, b"line %d" % n) for n in range(1, 6)]
    write(path, *lines)
    data = path.read_bytes()
    path.unlink()
    reader, seen = LogReader(path), []
    assert reader.read() == [], "there is no log yet"
    for size in range(len(data) + 1):
        path.write_bytes(data[:size])
        new = reader.read()
        assert len(new) <= 1
        seen += new
    assert seen == lines


def test_a_reader_takes_about_as_much_as_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, *(Frame(STDOUT, n, b"x" * 100) for n in range(1, 101)))
    reader, batches = LogReader(path), []
    while batch := reader.read(1200):
        batches.append(len(batch))
    assert sum(batches) == 100
    assert max(batches) == 10


@settings(deadline=None)
@given(some=drawn, skip=st.integers(0, 12))
def test_a_reader_that_skips_stands_where_one_that_read_so_many_stands(
    tmp_path_factory: pytest.TempPathFactory, some: list[Frame], skip: int
) -> None:
    some = frames_of(some)
    path = tmp_path_factory.mktemp("skip") / "log"
    write(path, *some)
    assert opened(path, skip=skip).read(1 << 30) == read_all(path, as_written=True)[skip:]


@pytest.mark.parametrize("at", [0, blocks.HEADER_BYTES])
def test_a_damaged_block_is_told_and_the_next_one_goes_on(tmp_path: Path, at: int) -> None:
    path = tmp_path / "log"
    write(path, Frame(STDOUT, 1, b"a" * 70_000), Frame(STDOUT, 2, b"rest\n"))
    data = bytearray(path.read_bytes())
    data[at : at + 9] = b"\x99" * 9
    path.write_bytes(data)
    found = read_all(path)
    assert bytes_of(found)[0].endswith(b"rest\n")
    assert Frame(NOTE, 0, DAMAGED.encode()) in found


def test_what_a_machine_without_power_did_not_write_is_not_an_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, Frame(STDOUT, 1, b"a\n"))
    with path.open("ab") as file:
        file.write(bytes(500))
    assert read_all(path) == [Frame(STDOUT, 1, b"a\n")]
    write(path, Frame(STDOUT, 2, b"b\n"))
    assert bytes_of(read_all(path)) == (b"a\nb\n", b"")


@settings(deadline=None)
@given(some=drawn, ended=st.booleans())
def test_a_log_of_the_first_version_is_read_and_goes_on_as_a_present_one(
    tmp_path_factory: pytest.TempPathFactory, some: list[Frame], ended: bool
) -> None:
    some = frames_of(some)
    path = tmp_path_factory.mktemp("old") / "log"
    end = [Frame(END, 5, b"")] if ended else []
    torn = b"" if ended else b"\1\0\0\0\0"
    path.write_bytes(b"".join(frame.encode() for frame in [*some, *end]) + torn)
    found = opened(path).read(1 << 30)
    assert bytes_of(found) == bytes_of(some)
    assert (bool(found) and found[-1].stream == END) == ended
    assert [one.name for one in path.parent.iterdir()] == ["log"]
    if path.stat().st_size:
        assert path.read_bytes().startswith(blocks.MAGIC)
