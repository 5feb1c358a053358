"""This terminal while it shows a job's: keys pass unchanged, and its state is restored."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import termios
import tty
from collections.abc import Callable
from typing import Any

_MODES = re.compile(rb"\x1b\[\?([0-9;]{1,32})([hl])")
_UNFINISHED = re.compile(rb"\x1b(\[(\?[0-9;]{0,32})?)?\Z")
_SWITCHED_ON = frozenset(b"1 47 1000 1002 1003 1004 1005 1006 1047 1049 2004".split())
"""Modes that programs switch on for themselves (xterm's control sequences, DECSET): cursor keys,
the other screen, the mouse, pasting."""
_FATAL = (signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT)
_CURSOR = b"25"


class Screen:
    """A terminal in raw mode for a while; the modes that its output switches on are remembered."""

    def __init__(self, fd: int, out: int) -> None:
        self._fd, self._out = fd, out
        self._before: list[Any] | None = None
        self._on: dict[bytes, None] = {}
        self._tail = b""
        self._caught: list[signal.Signals] = []

    def __enter__(self) -> Screen:
        self._before = termios.tcgetattr(self._fd)
        for number in _FATAL:
            self._catch(number, self._die)
        self._catch(signal.SIGTSTP, self._stop)
        self._catch(signal.SIGCONT, self._go_on)
        tty.setraw(self._fd, termios.TCSADRAIN)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()
        while self._caught:
            signal.signal(self._caught.pop(), signal.SIG_DFL)

    def _catch(self, number: signal.Signals, handler: Callable[[int, Any], None]) -> None:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, handler)
            self._caught.append(number)

    def _restore(self) -> None:
        off = [_switch(mode, on=mode == _CURSOR) for mode in reversed(self._on)]
        with contextlib.suppress(OSError):
            if off:
                os.write(self._out, b"".join([*off, b"\x1b[0m"]))
        with contextlib.suppress(termios.error):
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before or [])

    def _die(self, number: int, _: object) -> None:
        """Restore the terminal, and end by the signal all the same."""
        self.__exit__()
        os.kill(os.getpid(), number)

    def _stop(self, number: int, _: object) -> None:
        """Restore the terminal, and stop by the signal all the same."""
        self._restore()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.signal(number, self._stop)

    def _go_on(self, number: int, _: object) -> None:
        """Take the terminal again; in the background it is another process's."""
        with contextlib.suppress(OSError, termios.error):
            if os.tcgetpgrp(self._fd) == os.getpgrp():
                tty.setraw(self._fd, termios.TCSADRAIN)
                os.write(
                    self._out, b"".join(_switch(mode, on=mode != _CURSOR) for mode in self._on)
                )

    def note(self, data: bytes) -> None:
        """Note the modes that output switches on or off, however it is cut into pieces."""
        if self._tail:
            data = self._tail + data
        elif b"\x1b" not in data:
            return
        for numbers, end in _MODES.findall(data):
            for number in numbers.split(b";"):
                if number == _CURSOR:
                    self._set(number, on=end == b"l")
                elif number in _SWITCHED_ON:
                    self._set(number, on=end == b"h")
        unfinished = _UNFINISHED.search(data)
        self._tail = unfinished.group() if unfinished else b""

    def _set(self, mode: bytes, *, on: bool) -> None:
        self._on.pop(mode, None)
        if on:
            self._on[mode] = None


def _switch(mode: bytes, *, on: bool) -> bytes:
    return b"\x1b[?%b%b" % (mode, b"h" if on else b"l")
