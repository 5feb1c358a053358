"""A job's output as lines: whole ones only, and nothing that steers a terminal."""

from __future__ import annotations

from launcher.cli.live.log_lines import LONGEST, LogLines


def test_lines_are_whole_however_they_are_cut() -> None:
    lines = LogLines()
    assert lines.take(b"one\ntw") == ["one"]
    assert lines.unfinished == "tw"
    assert lines.take(b"o\n") == ["two"]
    assert lines.unfinished == ""


def test_what_a_carriage_return_overwrote_is_gone() -> None:
    lines = LogLines()
    assert lines.take(b"10%\r20%\r30%\r\ndone\r\n") == ["30%", "done"]
    lines.take(b"40%\r")
    assert lines.unfinished == "40%"


def test_sequences_colours_and_markup_do_nothing() -> None:
    lines = LogLines()
    (line,) = lines.take(b"\x1b[31mred\x1b[0m \x1b]0;title\x07[bold]x[/] \xe2\x80\xae\x00\n")
    assert line == "red [bold]x[/] "


def test_a_line_without_an_end_is_cut() -> None:
    lines = LogLines()
    assert [len(line) for line in lines.take(b"x" * (2 * LONGEST + 5))] == [LONGEST, LONGEST]
    assert lines.unfinished == "xxxxx"
