"""Going on in Docker's log: what the file has is left out by count, for each stream apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.engine.logs import Entry
from launcher.output.continuation import APART_NS, Continuation, Rotated
from launcher.output.log_file import LogWriter
from launcher.wire import STDERR, STDOUT, Frame
from tests.support.logs import LIMIT, bytes_of, read_all, write

OUTPUT = st.lists(
    st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(min_size=1, max_size=20)), max_size=15
)
SECOND = 10**9


def go_on(path: Path, entries: list[Entry], *, by_time: bool = False) -> None:
    """Append what is new of Docker's log."""
    writer = LogWriter(path, LIMIT)
    try:
        known = Continuation(path, writer.totals, by_time=by_time)
        writer.write([frame for entry in entries if (frame := known.rest(entry)) is not None])
    finally:
        writer.close()


@settings(deadline=None)
@given(OUTPUT, st.integers(0, 300), st.integers(0, 300), st.integers(1, 7))
def test_every_byte_comes_once_wherever_the_file_ends_and_however_docker_cuts_its_lines(
    tmp_path_factory: pytest.TempPathFactory,
    output: list[tuple[int, bytes]],
    had_out: int,
    had_err: int,
    size: int,
) -> None:
    path = tmp_path_factory.mktemp("go-on") / "log"
    whole = bytes_of([Frame(stream, 1, data) for stream, data in output])
    write(path, Frame(STDERR, 1, whole[1][:had_err]), Frame(STDOUT, 1, whole[0][:had_out]))
    entries = [
        Entry(stream, 2, data[at : at + size])
        for stream, data in zip((STDOUT, STDERR), whole, strict=True)
        for at in range(0, len(data), size)
    ]
    go_on(path, entries)
    assert bytes_of(read_all(path)) == whole


def test_a_log_that_begins_with_other_bytes_was_rotated(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, Frame(STDOUT, 1, b"one\ntwo\n"))
    with pytest.raises(Rotated):
        go_on(path, [Entry(STDOUT, 2, b"two\n"), Entry(STDOUT, 3, b"three\n")])
    go_on(path, [Entry(STDOUT, 1, b"two\n"), Entry(STDOUT, 3, b"three\n")], by_time=True)
    assert bytes_of(read_all(path))[0] == b"one\ntwo\nthree\n"


def test_a_log_that_begins_with_the_same_bytes_much_later_was_rotated(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, Frame(STDOUT, SECOND, b"step\n"), Frame(STDOUT, 2 * SECOND, b"step\n"))
    with pytest.raises(Rotated) as rotated:
        go_on(path, [Entry(STDOUT, 9 * SECOND, b"step\n")])
    assert rotated.value.at_ns == 9 * SECOND


def test_a_line_that_was_finished_late_is_not_taken_for_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, Frame(STDOUT, 1, b"10%"), Frame(STDOUT, 60 * SECOND, b"\r100%\n"))
    go_on(path, [Entry(STDOUT, 60 * SECOND + APART_NS, b"10%\r100%\n"), Entry(STDOUT, 9, b"z")])
    assert bytes_of(read_all(path))[0] == b"10%\r100%\nz"
    other = tmp_path / "other"
    write(other, Frame(STDOUT, 1, b"10%"))
    go_on(other, [Entry(STDOUT, 60 * SECOND, b"10%\r100%\n")])
    assert bytes_of(read_all(other))[0] == b"10%\r100%\n"
