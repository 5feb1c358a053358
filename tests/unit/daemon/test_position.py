"""Where a log stands: read again from its mark, nothing is repeated and nothing lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from launcher.daemon.position import WINDOW_NS, Position

Entry = tuple[int, int, int]
SECOND = 10**9
START = 10**18


@st.composite
def logs(draw: st.DrawFn) -> list[Entry]:
    """A log as Docker keeps it: times go on, out of order within the window at the most, many in
    one nanosecond."""
    steps = st.sampled_from([0, 0, 1, -SECOND, SECOND, 3 * WINDOW_NS])
    found: list[Entry] = []
    at = newest = START
    for step in draw(st.lists(steps, max_size=30)):
        at = max(at + step, newest - WINDOW_NS)
        newest = max(at, newest)
        found.append((draw(st.integers(1, 2)), at, draw(st.integers(0, 2))))
    return found


def after(position: Position, log: list[Entry]) -> list[Entry]:
    """Read again, as Docker gives it: in its order, without what is stamped earlier."""
    has = position.already_has()
    again = [entry for entry in log if entry[1] >= position.resume_from()]
    return [entry for entry in again if not has(*entry)]


def counted(entries: list[Entry]) -> Position:
    position = Position()
    for entry in entries:
        position.count(*entry)
    return position


@given(log=logs(), data=st.data())
def test_reading_again_gives_exactly_what_was_not_there(
    log: list[Entry], data: st.DataObject
) -> None:
    here = data.draw(st.integers(0, len(log)))
    position = counted(log[:here])
    assert after(position, log) == log[here:]


@given(log=logs(), back=st.integers(3600 * SECOND, START // 2), data=st.data())
def test_after_a_clock_that_was_set_back_nothing_is_lost_or_repeated(
    log: list[Entry], back: int, data: st.DataObject
) -> None:
    log = [*log, (1, max((e[1] for e in log), default=START), 1)]
    cut = data.draw(st.integers(0, len(log) - 1))
    log = [*log[:cut], *((s, at - back, n) for s, at, n in log[cut:])]
    here = data.draw(st.integers(cut + 1, len(log)))
    assert after(counted(log[:here]), log) == log[here:]


def test_what_is_long_past_is_not_read_again() -> None:
    position = counted([(1, START + n * SECOND, 1) for n in range(20)])
    assert position.resume_from() >= START + 14 * SECOND


def test_where_docker_dropped_the_oldest_the_time_tells() -> None:
    log = [(1, START + n, 5) for n in range(10)]
    position = counted(log)
    new = [(1, START + 10 + n, 5) for n in range(3)]
    assert after(position, [*log[4:], *new]) == new
