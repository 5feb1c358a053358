"""What only happens on a terminal: here a real pseudo-terminal."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.cli.output import render
from launcher.text.escape_filter import EscapeFilter
from launcher.text.safe_text import UNSEEN
from launcher.wire import Frame
from tests.unit.cli.launch_command import Launch
from tests.unit.client.stub_daemon import (
    Json,
    Stream,
    StubDaemon,
    end,
    ended,
    event,
    head,
    job_view,
    out,
)


@dataclass
class Terminal:
    """A terminal 60 columns wide, and what was shown on it."""

    fd: int
    shown: bytearray
    reader: threading.Thread

    def text(self) -> str:
        os.close(self.fd)
        self.fd = -1
        self.reader.join(10)
        return self.shown.decode()


@pytest.fixture
def tty(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    import fcntl
    import struct
    import termios

    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    shown = bytearray()

    def read() -> None:
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:
                return
            shown.extend(piece)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    terminal = Terminal(theirs, shown, reader)
    yield terminal
    if terminal.fd >= 0:
        os.close(terminal.fd)
    reader.join(10)
    os.close(ours)


def test_a_pull_is_bars_on_a_terminal_and_they_go_away(
    stub: StubDaemon, launch: Launch, tty: Terminal
) -> None:
    def pulling(current: int, status: str) -> object:
        layer = {"id": "abc123", "status": status, "current": current, "total": 100}
        return event(job_view(reason="ImagePull"), progress={"layers": [layer]})

    stub.on("POST", "/v1/jobs", Json([job_view()], 201))
    stub.on("GET", "/v1/jobs/12/follow", Stream([
        pulling(50, "Downloading"), pulling(100, "Pull complete"), event(job_view(state="RUNNING")),
        out("hello\n"), end(ended("COMPLETED", 0)),
    ]))  # fmt: skip
    result = launch("run", "busybox", stderr=tty.fd)
    assert (result.code, result.out) == (0, "hello\n")
    shown = tty.text()
    assert "abc123" in shown
    assert "pulling busybox" not in shown
    assert shown.rstrip().endswith("job 12 runs on 1g.6gb") or "job 12 runs" in shown
    assert shown.count("\x1b[?25h") >= shown.count("\x1b[?25l")  # the cursor is back


def test_a_table_is_cut_to_the_terminal_and_json_is_not(
    stub: StubDaemon, launch: Launch, tty: Terminal
) -> None:
    job = job_view(message="long " * 50)
    stub.on("GET", "/v1/jobs", Json([job]))
    stub.on("GET", "/v1/queue/head", head(job))
    launch("ps", stdout=tty.fd)
    launch("ps", "-o", "json", stdout=tty.fd)
    table, _, document = tty.text().partition("[\r\n")
    assert max(len(line) for line in table.splitlines()) == 60
    assert "long " * 50 in document


def test_logs_on_a_terminal_keep_colours_and_lose_the_rest(
    stub: StubDaemon, launch: Launch, tty: Terminal
) -> None:
    evil = "a\x1b[31mred\x1b[0m\x1b]0;title\x07\x1b[2Jb\n"
    stub.on("GET", "/v1/jobs/1/logs", Stream([out(evil), end(ended("COMPLETED", 0))]))
    launch("logs", "1", stdout=tty.fd)
    assert tty.text() == "a\x1b[31mred\x1b[0mb\r\n"


@pytest.mark.parametrize(
    ("words", "shown"), [((), "a\x1b[31mred\x1b[0mbxy\r\n"), (("--raw",), None)]
)
def test_the_output_of_a_run_is_cleaned_on_a_terminal_across_pieces(
    words: tuple[str, ...], shown: str | None, stub: StubDaemon, launch: Launch, tty: Terminal
) -> None:
    evil = "a\x1b[31mred\x1b[0m\x1b]0;title\x07\x1b[2J\x9b2Jb\u202ex\x08y\n".encode()
    stub.on("POST", "/v1/jobs", Json([job_view()], 201))
    pieces = [Frame(1, n, evil[n : n + 1]) for n in range(len(evil))]
    stub.on("GET", "/v1/jobs/12/follow", Stream([*pieces, end(ended("COMPLETED", 0))]))
    launch("run", "-q", *words, "busybox", stdout=tty.fd)
    assert tty.text() == (shown or evil.decode().replace("\n", "\r\n"))


def test_logs_elsewhere_and_raw_ones_are_byte_exact(
    stub: StubDaemon, launch: Launch, tty: Terminal
) -> None:
    evil = "a\x1b]0;title\x07\x1b[2Jb"
    stub.on("GET", "/v1/jobs/1/logs", Stream([out(evil), end(ended("COMPLETED", 0))]))
    assert launch("logs", "1").out == evil
    launch("logs", "--raw", "1", stdout=tty.fd)
    assert tty.text() == evil


@given(st.lists(st.binary(max_size=12) | st.sampled_from(
    [b"\xe2\x80\xae", b"\xe2\x80", b"\xef\xbb\xbf", b"\x08", b"\xc2\x9b", b"\x1b",
     b"[", b"2J", b"\x1b[31m", b"]0;", b"\x07", b"\x1b\\", b"\xc2", b"\x9b", b"m", b"0;"]
)))  # fmt: skip
def test_nothing_but_colours_gets_through_in_whatever_pieces(pieces: list[bytes]) -> None:
    cleaner = EscapeFilter()
    shown = b"".join(cleaner.clean(piece) for piece in pieces).decode()
    without = re.sub(r"\x1b\[[0-9;:]{0,64}m", "", shown)
    assert not re.search(rf"(?![\t\n\r])[\x00-\x1f\x7f-\x9f{UNSEEN}]", without)


PLAIN = st.characters(codec="utf-8", exclude_categories=["Cc"]).filter(
    lambda letter: not re.match(f"[{UNSEEN}]", letter)
)


@given(st.text(alphabet=PLAIN | st.sampled_from("\t\n\r")), st.integers(1, 5))
def test_plain_text_gets_through_whole(text: str, size: int) -> None:
    cleaner, data = EscapeFilter(), text.encode()
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert b"".join(cleaner.clean(piece) for piece in pieces) == data


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (0, "ID  IMAGE                     REASON\n7   registry.example/busybox  Resources"),
        (30, "ID  IMAGE            REASON\n7   registry.examp…  Resources"),
        (23, "ID  IMAGE     REASON\n7   registr…  Resources"),
        (20, "ID  REASON\n7   Resources"),
        (10, "ID  REASON\n7   Resou…"),
    ],
)
def test_the_image_gives_way_before_the_reason_and_a_width_of_nought_is_none(
    columns: int, shown: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "isatty", lambda _: True)
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((columns, 24)))
    rows = [(7, "registry.example/busybox", "Resources")]
    render.print_table(("ID", "IMAGE", "REASON"), rows, ("IMAGE",))
    assert capsys.readouterr().out.strip() == shown
