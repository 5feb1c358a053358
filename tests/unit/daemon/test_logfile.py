"""The framed log of an attempt: torn ends, going on without repeating, the size cap, its reader."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.daemon.logfile import LogReader, LogWriter, path_of
from launcher.wire import END, NOTE, STDERR, STDOUT, Frame

LIMIT = 1 << 20
MiB = 1 << 20


def written(path: Path) -> list[Frame]:
    return list(LogReader(path).read(1 << 30))


def write(path: Path, *entries: tuple[int, int, bytes], limit: int = LIMIT) -> None:
    writer = LogWriter(path, limit)
    writer.write(Frame(*entry) for entry in entries)
    writer.close()


def test_a_thousand_jobs_share_a_folder(tmp_path: Path) -> None:
    assert path_of(tmp_path, 12999, 3) == tmp_path / "12" / "12999.3.log"


def test_what_is_written_is_read_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "0" / "1.1.log"
    write(path, (STDOUT, 5, b"out"), (STDERR, 6, b""), (STDOUT, 7, b"\0\xff"))
    assert written(path) == [
        Frame(STDOUT, 5, b"out"),
        Frame(STDERR, 6, b""),
        Frame(STDOUT, 7, b"\0\xff"),
    ]
    assert path.stat().st_mode & 0o777 == 0o600


frames = st.lists(
    st.tuples(st.sampled_from([STDOUT, STDERR]), st.integers(1, 10**19), st.binary(max_size=30)),
    max_size=6,
)


@settings(deadline=None)
@given(entries=frames, data=st.data())
def test_a_torn_end_is_cut_off_and_the_rest_is_kept(
    tmp_path_factory: pytest.TempPathFactory,
    entries: list[tuple[int, int, bytes]],
    data: st.DataObject,
) -> None:
    path = tmp_path_factory.mktemp("torn") / "log"
    write(path, *entries)
    whole = path.read_bytes()
    ends = [0]
    for _, _, piece in entries:
        ends.append(ends[-1] + 13 + len(piece))
    assert ends[-1] == len(whole)
    cut_at = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut_at])
    kept = max(n for n, end in enumerate(ends) if end <= cut_at)
    LogWriter(path, LIMIT).close()
    assert path.stat().st_size == ends[kept]
    write(path, (STDOUT, 1, b"next"))
    assert written(path) == [*(Frame(*e) for e in entries[:kept]), Frame(STDOUT, 1, b"next")]


def test_past_the_limit_there_is_one_note_and_nothing_more(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, *((STDOUT, n, b"x" * 1000) for n in range(1, 4000)), limit=2 * MiB)
    found = written(path)
    assert path.stat().st_size < 2 * MiB + 100
    assert [f.stream for f in found] == [STDOUT] * (len(found) - 1) + [NOTE]
    assert found[-1].data == b"the log was cut here: it reached 2 MiB"


def test_a_cut_log_stays_cut_when_it_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, (STDOUT, 1, b"x" * 100), (STDOUT, 2, b"y"), limit=50)
    before = written(path)
    write(path, (STDOUT, 3, b"z"), limit=50)
    assert written(path) == before
    assert [f.stream for f in before] == [NOTE]


def test_the_end_is_marked_once_however_often_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for _ in range(3):
        writer = LogWriter(path, LIMIT)
        writer.end()
        assert writer.ended
        writer.close()
    assert [f.stream for f in written(path)] == [END]


def test_a_link_in_place_of_a_log_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"keep")
    (tmp_path / "log").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="symbolic links"):
        LogWriter(tmp_path / "log", LIMIT)
    assert (tmp_path / "target").read_bytes() == b"keep"


def test_a_reader_sees_whole_frames_only_and_each_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    reader = LogReader(path)
    assert list(reader.read()) == [], "there is no log yet"
    data = b"".join(Frame(STDOUT, n, b"line %d" % n).encode() for n in range(5))
    seen: list[Frame] = []
    for size in range(len(data) + 1):
        path.write_bytes(data[:size])
        new = list(reader.read())
        assert len(new) <= 1
        seen += new
    assert seen == [Frame(STDOUT, n, b"line %d" % n) for n in range(5)]


def test_a_reader_takes_about_as_much_as_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, *((STDOUT, n, b"x" * 100) for n in range(1, 101)))
    reader, batches = LogReader(path), []
    while batch := list(reader.read(1200)):
        batches.append(len(batch))
    assert sum(batches) == 100
    assert max(batches) == 10
