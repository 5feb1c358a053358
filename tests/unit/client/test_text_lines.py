"""Lines of a job's output, in whatever frames they come."""

from __future__ import annotations

from launcher.client.handles.text_lines import MOST_LINE, TextHead, TextLines
from launcher.wire import NOTE, STDERR, STDOUT, Frame
from tests.unit.client.stub_daemon import err, out


def lines_of(*frames: Frame, source: str = "both") -> list[str]:
    lines = TextLines(source)  # type: ignore[arg-type]
    result = [line for frame in frames for line in lines.whole(frame)]
    return [*result, *lines.rest()]


def test_a_line_that_comes_in_several_frames_is_one() -> None:
    assert lines_of(out("a"), out("b\nc"), out("\n\nd")) == ["ab", "c", "", "d"]


def test_lines_of_the_two_streams_are_not_mixed() -> None:
    assert lines_of(out("out"), err("err\n"), out(" put\n")) == ["err", "out put"]


def test_one_stream_alone_can_be_had() -> None:
    frames = (out("a\n"), err("b\n"), Frame(NOTE, 0, b"the log was cut"))
    assert lines_of(*frames, source="stdout") == ["a"]
    assert lines_of(*frames, source="stderr") == ["b"]
    assert lines_of(*frames) == ["a", "b"]


def test_a_character_may_be_split_over_frames_and_what_is_not_utf8_is_replaced() -> None:
    data = "é\n".encode()
    split = [Frame(STDOUT, 0, data[:1]), Frame(STDOUT, 0, data[1:])]
    assert lines_of(*split, Frame(STDERR, 0, b"\xff!\n\xe9")) == ["é", "\ufffd!", "\ufffd"]


def test_only_a_newline_ends_a_line() -> None:
    assert lines_of(out("50%\r100%\r\na\x0bb\u2028c\n")) == ["50%\r100%\r", "a\x0bb\u2028c"]


def test_a_line_without_an_end_comes_in_pieces() -> None:
    lines = TextLines()
    parts = [part for _ in range(5) for part in lines.whole(out("x" * (MOST_LINE // 2)))]
    assert [len(part) for part in parts] == [MOST_LINE] * 2
    assert "".join([*parts, *lines.rest()]) == "x" * (MOST_LINE // 2 * 5)
    assert [len(part) for part in lines_of(out("y" * (MOST_LINE + 1) + "\n"))] == [MOST_LINE, 1]


def test_the_head_of_the_output_is_limited() -> None:
    head = TextHead(4)
    assert head.add(err("no"))
    assert head.add(out("abc"))
    assert not head.add(out("def"))
    assert head.text() == "abcd"
