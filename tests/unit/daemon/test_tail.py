"""The last lines of a log: which frames belong to them, and how little of it is held."""

from __future__ import annotations

import tracemalloc
from collections import deque
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from launcher.daemon.logfile import LogWriter
from launcher.daemon.streams import Attempt
from launcher.daemon.tail import Lines, Tail
from launcher.wire import NOTE, STDERR, STDOUT, Frame

FRAMES = st.lists(
    st.builds(
        Frame,
        st.sampled_from([STDOUT, STDERR, NOTE]),
        st.just(1),
        st.sampled_from([b"", b"x", b"x\n", b"\n"]),
    ),
    max_size=30,
)


def by_lines(frames: list[Frame], most: int) -> list[Frame]:
    """Gather every line, then take the last ones."""
    lines: deque[list[int]] = deque(maxlen=most)
    unfinished: dict[int, list[int]] = {}
    for index, frame in enumerate(frames):
        line = unfinished.pop(frame.stream, None)
        if line is None:
            lines.append(line := [])
        line.append(index)
        if frame.stream != NOTE and not frame.data.endswith(b"\n"):
            unfinished[frame.stream] = line
    return [frames[index] for index in sorted(index for line in lines for index in line)]


@given(FRAMES, st.integers(0, 12))
def test_the_frames_of_the_last_lines_are_shown_in_the_order_of_the_log(
    frames: list[Frame], most: int
) -> None:
    lines = Lines()
    lines.add(frames)
    tail = Tail(lines.count - most)
    assert [frame for frame in frames if tail.shows(frame)] == by_lines(frames, most)


def attempt(tmp_path: Path, count: int) -> Attempt:
    """Return the reader of a log with so many lines, about a hundred bytes each."""
    place = tmp_path / "0" / "7.1.log"
    writer = LogWriter(place, 2**30)
    for first in range(0, count, 1000):
        some = range(first, min(first + 1000, count))
        writer.write(Frame(STDOUT, n, f"{n:0100}\n".encode()) for n in some)
    writer.end()
    writer.close()
    context = type("Context", (), {"log_directory": tmp_path})
    return Attempt(context, 7, 1)  # type: ignore[arg-type]


def test_a_tail_begins_at_its_first_line_and_goes_on_to_the_end(tmp_path: Path) -> None:
    reading = attempt(tmp_path, 10_000)
    found = reading.skip_to_tail(3)
    while more := list(reading.new_frames()):
        found += more
    assert [int(frame.data) for frame in found] == [9997, 9998, 9999]
    assert reading.ended


def test_a_tail_of_more_lines_than_there_are_holds_no_more_than_a_piece_of_the_log(
    tmp_path: Path,
) -> None:
    reading = attempt(tmp_path, 100_000)
    tracemalloc.start()
    found = reading.skip_to_tail(10**9)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [int(frame.data) for frame in found] == [0]
    assert peak < 2 * 2**20, "a piece is 256 KiB"
