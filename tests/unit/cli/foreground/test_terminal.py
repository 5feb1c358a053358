"""What is typed until the keys that detach, and what a job has switched on in this terminal."""

from __future__ import annotations

import itertools
import os
import pty
import signal
import socket
import subprocess
import sys
import termios

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.cli.foreground.detach_keys import DetachKeys
from launcher.cli.foreground.screen import Screen
from launcher.cli.input.detach_keys import parse

KEYS = st.text("abp", min_size=1, max_size=4).map(str.encode)
TYPED = st.text("abpx", max_size=30).map(str.encode)


@given(keys=KEYS, typed=TYPED, cuts=st.lists(st.integers(0, 30), max_size=5))
def test_the_keys_are_found_however_they_come(keys: bytes, typed: bytes, cuts: list[int]) -> None:
    places = sorted({0, *(cut for cut in cuts if cut < len(typed)), len(typed)})
    pieces = [typed[a:b] for a, b in itertools.pairwise(places)]
    finder, passed, detached = DetachKeys(keys), b"", False
    for piece in pieces:
        some, detached = finder.feed(piece)
        passed += some
        if detached:
            break
    at = typed.find(keys)
    assert detached == (at >= 0)
    if detached:
        assert passed == typed[:at]
    else:
        held = len(typed) - len(passed)
        assert passed == typed[: len(passed)]
        assert keys.startswith(typed[len(typed) - held :])
        assert held < len(keys)


@pytest.mark.parametrize("text", ["", "ctrl-", "ctrl-ab", "ab", "ctrl-p,", "é", "ctrl-é", "ctrl-1"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a key"):
        parse(text)


def test_modes_that_a_job_has_left_on_are_switched_off() -> None:
    ours, theirs = pty.openpty()
    try:
        before = termios.tcgetattr(theirs)
        with Screen(theirs, theirs) as screen:
            assert not termios.tcgetattr(theirs)[3] & termios.ECHO
            shown = b"a\x1b[?1049h\x1b[?25lb\x1b[?1000;2004h\x1b[?2004l\x1b[?9999h\x1b[2J"
            for at in range(len(shown)):
                screen.note(shown[at : at + 1])
        assert termios.tcgetattr(theirs) == before
        assert os.read(ours, 1000) == b"\x1b[?1000l\x1b[?25h\x1b[?1049l\x1b[0m"
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_screen_that_a_job_left_as_it_was_gets_nothing() -> None:
    ours, theirs = pty.openpty()
    try:
        with Screen(theirs, theirs) as screen:
            screen.note(b"plain \x1b[31mred\x1b[0m \x1b[?25l\x1b[?25h")
        os.set_blocking(ours, False)
        with pytest.raises(BlockingIOError):
            os.read(ours, 10)
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_terminal_is_restored_before_a_signal_ends_the_client(number: signal.Signals) -> None:
    ours, theirs = pty.openpty()
    try:
        before = termios.tcgetattr(theirs)
        script = (
            "import os, signal, sys; from launcher.cli.foreground.screen import Screen\n"
            "signal.signal(int(sys.argv[1]), signal.SIG_DFL)  # nohup(1) may have set another\n"
            "with Screen(0, 0) as screen:\n"
            "    screen.note(b'\\x1b[?1049h')\n"
            "    os.kill(os.getpid(), int(sys.argv[1]))"
        )
        command = [sys.executable, "-c", script, str(int(number))]
        assert subprocess.run(command, stdin=theirs, check=False).returncode == -number
        assert termios.tcgetattr(theirs) == before
        assert os.read(ours, 1000) == b"\x1b[?1049l\x1b[0m"
    finally:
        os.close(ours)
        os.close(theirs)


STOPPED = """
import os, signal, sys
from launcher.cli.foreground.screen import Screen

signal.signal(signal.SIGTSTP, signal.SIG_DFL)
with Screen(0, 0) as screen:
    screen.note(b"\\x1b[?1049h\\x1b[?25l")
    os.kill(os.getpid(), signal.SIGTSTP)
    os.write(1, b"raw")
    os.read(0, 1)
"""


def test_a_terminal_is_restored_while_the_client_is_stopped() -> None:
    ours, theirs = pty.openpty()
    try:
        before = termios.tcgetattr(theirs)
        script = ["setsid", "--ctty", sys.executable, "-c", STOPPED]
        with subprocess.Popen(script, stdin=theirs, stdout=subprocess.PIPE) as process:
            # The kernel stops no process of an orphaned group by SIGTSTP, so SIGCONT stands for
            # what a shell does.
            assert process.stdout is not None
            assert process.stdout.read(3) == b"raw"
            assert os.read(ours, 1000) == b"\x1b[?25h\x1b[?1049l\x1b[0m"
            assert termios.tcgetattr(theirs) == before
            process.send_signal(signal.SIGCONT)
            assert os.read(ours, 1000) == b"\x1b[?1049h\x1b[?25l"
            assert not termios.tcgetattr(theirs)[3] & termios.ECHO
            os.write(ours, b"x")
            assert process.wait(60) == 0
        assert termios.tcgetattr(theirs) == before
    finally:
        os.close(ours)
        os.close(theirs)


TYPED_AHEAD = """
import os, socket, sys
from launcher.cli.foreground import terminal_sizes
from launcher.cli.foreground.terminal_session import TerminalSession
from launcher.client.terminal import Attached

terminal_sizes.FIRST_SECONDS = 60.0

def resize(rows, columns):
    asks.send(b"size")
    asks.recv(1)

asks, connection = (socket.socket(fileno=int(word)) for word in sys.argv[1:])
TerminalSession(Attached(connection, True, True, None, b""), sends=True).run(resize)
"""


def test_what_is_typed_ahead_comes_after_the_first_size() -> None:
    ours, theirs = pty.openpty()
    asked, asks = socket.socketpair()
    end, connection = socket.socketpair()
    try:
        termios.tcsetwinsize(theirs, (30, 100))
        os.write(ours, b"typed")
        words = [str(each.fileno()) for each in (asks, connection)]
        with subprocess.Popen(
            [sys.executable, "-c", TYPED_AHEAD, *words],
            stdin=theirs,
            pass_fds=[asks.fileno(), connection.fileno()],
        ) as process:
            asked.settimeout(60)
            assert asked.recv(10) == b"size"
            end.settimeout(0.2)
            with pytest.raises(TimeoutError):
                end.recv(10)
            asked.send(b"!")
            end.settimeout(60)
            assert end.recv(10) == b"typed"
            end.close()
            connection.close()
            assert process.wait(60) == 0
    finally:
        for each in (asked, asks, end, connection):
            each.close()
        os.close(ours)
        os.close(theirs)
