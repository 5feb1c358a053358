"""Finding the last lines of a log, and a moment in it, with a few reads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.output import search
from launcher.output.reader import LogReader
from launcher.wire import STDERR, STDOUT, Frame
from tests.support.logs import bytes_of, write

PIECES = {"x": b"y" * 40_000, "l": b"long\n" * 5_000}
DRAWN = st.lists(
    st.tuples(
        st.sampled_from([STDOUT, STDERR]),
        st.integers(1, 9),
        st.sampled_from(["x", "l", "x\n", "\n", "a\nb\nc"]),
    ),
    max_size=12,
)


def frames_of(drawn: list[tuple[int, int, str]]) -> list[Frame]:
    """Return the frames that were drawn, the long ones in their length."""
    return [Frame(stream, at, PIECES.get(one, one.encode())) for stream, at, one in drawn]


def last(path: Path, count: int) -> list[Frame]:
    """Return the frames of the last lines."""
    position, cut = search.last_lines(path, count)
    frames = LogReader(path, position).read(1 << 30)
    if cut:
        frames[0] = Frame(frames[0].stream, frames[0].time_ns, frames[0].data[cut:])
    return frames


def expected(frames: list[Frame], count: int) -> tuple[bytes, bytes]:
    """Leave out so many newlines, in the order of the log, that the last lines are left."""
    out, err = bytes_of(frames)
    unfinished = sum(bool(data) and not data.endswith(b"\n") for data in (out, err))
    newlines = (out + err).count(b"\n")
    skip = min(newlines + unfinished - count, newlines)
    rest = []
    for frame in frames:
        here = min(max(0, skip), frame.data.count(b"\n"))
        data = b"".join(frame.data.splitlines(keepends=True)[here:]) if skip > 0 else frame.data
        rest.append(Frame(frame.stream, 1, data if skip <= here else b""))
        skip -= here
    return bytes_of(rest)


@settings(deadline=None)
@given(DRAWN, st.integers(0, 30_000))
def test_the_last_lines_are_those_behind_as_many_newlines_as_there_are_before(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[int, int, str]], count: int
) -> None:
    frames = frames_of(drawn)
    path = tmp_path_factory.mktemp("tail") / "log"
    write(path, *frames)
    assert bytes_of(last(path, count)) == expected(frames, count)


@settings(deadline=None)
@given(DRAWN, st.integers(0, 10))
def test_a_moment_is_found_with_nothing_of_it_left_out(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[int, int, str]], moment: int
) -> None:
    frames = frames_of(drawn)
    path = tmp_path_factory.mktemp("since") / "log"
    write(path, *frames)
    found = LogReader(path, search.since(path, moment)).read(1 << 30)
    whole = LogReader(path).read(1 << 30)
    left_out = whole[: len(whole) - len(found)]
    assert all(frame.time_ns < moment for frame in left_out)


def test_a_log_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    assert search.last_lines(tmp_path / "none", 5) == (0, 0)
    assert search.since(tmp_path / "none", 5) == 0


@pytest.mark.parametrize("count", [0, 1, 10, 10**9])
def test_the_last_lines_of_a_large_log_are_found_with_a_few_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    path = tmp_path / "log"
    write(path, *(Frame(STDOUT, n, b"%060d\n" % n * 500) for n in range(1, 1001)), limit=1 << 30)
    read = 0
    pread = os.pread

    def counted(fd: int, size: int, at: int) -> bytes:
        nonlocal read
        read += size
        return pread(fd, size, at)

    monkeypatch.setattr(search.os, "pread", counted)
    position, cut = search.last_lines(path, count)
    assert read < 200_000 < path.stat().st_size / 100
    if count == 1:
        frames = LogReader(path, position).read()
        assert frames[0].data[cut:] == b"%060d\n" % 1000
