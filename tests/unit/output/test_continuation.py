"""Going on in Docker's log: what the file has is left out by count, for each stream apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.engine.logs import LogEntry
from launcher.output.continuation import APART_NS, QUIET_NS, Continuation, Misfit
from launcher.output.log_file import LogWriter
from launcher.wire import NOTE, STDERR, STDOUT, Frame
from tests.support.logs import LIMIT, bytes_of, read_all, write

OUTPUT = st.lists(
    st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(min_size=1, max_size=20)), max_size=15
)
SECOND = 10**9


def go_on(
    path: Path, entries: list[LogEntry], *, by_time: bool = False, broke_off_ns: int | None = None
) -> None:
    """Append what is new of Docker's log."""
    writer = LogWriter(path, LIMIT)
    try:
        known = Continuation(path, writer.totals, broke_off_ns=broke_off_ns, by_time=by_time)
        writer.write([frame for entry in entries for frame in known.rest(entry)])
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
        LogEntry(stream, 2, data[at : at + size])
        for stream, data in zip((STDOUT, STDERR), whole, strict=True)
        for at in range(0, len(data), size)
    ]
    go_on(path, entries)
    assert bytes_of(read_all(path)) == whole


def test_a_log_that_does_not_fit_is_gone_on_with_by_time(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, Frame(STDOUT, 5, b"one\ntwo\n"))
    with pytest.raises(Misfit):
        go_on(path, [LogEntry(STDOUT, 5, b"two\n"), LogEntry(STDOUT, 6, b"three\n")])
    go_on(path, [LogEntry(STDOUT, 5, b"two\n"), LogEntry(STDOUT, 6, b"three\n")], by_time=True)
    assert bytes_of(read_all(path))[0] == b"one\ntwo\nthree\n"


@pytest.mark.parametrize("same", [True, False])
def test_what_docker_has_not_logged_is_kept_and_what_came_later_follows_once(
    tmp_path: Path, same: bool
) -> None:
    """A dockerd that dies loses what its logger was behind a reader of the streams."""
    path = tmp_path / "log"
    lines = [b"step\n" if same else b"step %d\n" % n for n in range(6)]
    write(path, Frame(STDOUT, SECOND, b"".join(lines[:2])), Frame(STDOUT, 2 * SECOND, lines[2]))
    later = [LogEntry(STDOUT, n * 10 * SECOND, lines[n]) for n in (3, 4, 5)]
    logged = [LogEntry(STDOUT, SECOND, lines[0])] if not same else []
    for _ in range(2):
        go_on(path, [*logged, *later], broke_off_ns=2 * SECOND + QUIET_NS + 1)
        assert bytes_of(read_all(path))[0] == b"".join(lines)
    assert [frame for frame in read_all(path) if frame.stream == NOTE] == []


def test_what_may_have_been_on_its_way_is_marked_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, Frame(STDOUT, SECOND, b"one\ntwo\n"))
    for _ in range(2):
        go_on(path, [LogEntry(STDOUT, SECOND, b"one\n"), LogEntry(STDOUT, 9 * SECOND, b"four\n")])
    assert [frame.stream for frame in read_all(path)] == [STDOUT, NOTE, STDOUT]
    assert read_all(path)[1].data == (
        b"output may be missing here, between 1970-01-01T00:00:01.000000Z and"
        b" 1970-01-01T00:00:09.000000Z: Docker was restarted"
    )


def test_a_line_that_was_finished_late_is_not_taken_for_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, Frame(STDOUT, 1, b"10%"), Frame(STDOUT, 60 * SECOND, b"\r100%\n"))
    go_on(
        path, [LogEntry(STDOUT, 60 * SECOND + APART_NS, b"10%\r100%\n"), LogEntry(STDOUT, 9, b"z")]
    )
    assert bytes_of(read_all(path))[0] == b"10%\r100%\nz"
    other = tmp_path / "other"
    write(other, Frame(STDOUT, 1, b"10%"))
    go_on(other, [LogEntry(STDOUT, 60 * SECOND, b"10%\r100%\n")])
    assert bytes_of(read_all(other))[0] == b"10%\r100%\n"
