"""``--watch``: a table again whenever something changed, in place on a terminal."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Generic, NoReturn, TypeVar

import click

from launcher import errors
from launcher.cli.output import render, terminal
from launcher.client import Client

T = TypeVar("T")

POLL_SECONDS = 10.0
"""A table on a terminal is drawn this often at least: it has times that go on."""
LEAST_SECONDS = 0.5
"""Something that always changes is printed this often."""
RETRY_SECONDS = 1.0
ALTERNATE, RESTORE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
HOME, CLEAR_LINE, CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
AWAY = (errors.DaemonUnreachable, errors.RecoveryMode, errors.TooMany, errors.Unavailable)


def watch(
    client: Client, read: Callable[[Client], T], show: Callable[[T], None], output: str
) -> NoReturn:
    """Print what ``read`` returns now, and again whenever it has changed.

    ``show`` prints it as the verb does without ``--watch``. JSON is a document a line.
    """
    if output == "table" and sys.stdout.isatty() and terminal.can_redraw():
        with PlaceOnScreen(show) as place:
            for value in _values(client, read, repeat=True):
                place.draw(value)
    before: tuple[str, str] | None = None
    for value in _values(client, read, repeat=False):
        data = json.dumps(render.plain(value))
        text = data + "\n" if output == "json" else _text(show, value)
        if before is None or (data != before[0] and text != before[1]):
            gap = "\n" if before is not None and output != "json" else ""
            sys.stdout.write(gap + text)
            sys.stdout.flush()
            before = data, text
    raise AssertionError("values never end")


def _values(client: Client, read: Callable[[Client], T], *, repeat: bool) -> Iterator[T]:
    """Yield what is read at first and after each change; with ``repeat`` also after each poll."""
    count: int | None = None
    value: T | None = None
    told = False
    while True:
        try:
            now = client.changed(count, POLL_SECONDS)
            if now != count:
                value, count, told = read(client), now, False
                yield value
            elif repeat and value is not None:
                yield value
            time.sleep(LEAST_SECONDS)
        except AWAY as error:
            if value is None:
                raise  # there was never a daemon
            if not told:
                terminal.complain(f"the daemon does not answer, trying again: {error.message}")
            count, told = None, True
            time.sleep(RETRY_SECONDS)


def _text(show: Callable[[T], None], value: T) -> str:
    """Return what ``show`` prints, on both outputs."""
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        show(value)
    return stream.getvalue()


class PlaceOnScreen(Generic[T]):
    """The terminal's other screen, as pagers use it: the first one comes back at the end."""

    def __init__(self, show: Callable[[T], None]) -> None:
        self._show = show
        self._last: T | None = None

    def __enter__(self) -> PlaceOnScreen[T]:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _terminated)
        signal.signal(signal.SIGWINCH, lambda *_: self._again())
        terminal.write(1, ALTERNATE.encode())
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGWINCH, signal.SIG_DFL)
        terminal.write(1, RESTORE.encode(), quiet=True)

    def draw(self, value: T) -> None:
        """Draw what ``show`` prints of a value, as much as there are rows."""
        self._last = value
        lines = _text(self._show, value).splitlines()
        rows = max(os.get_terminal_size(1).lines, 1)
        if len(lines) > rows:
            lines = [*lines[: rows - 1], f"and {len(lines) - rows + 1} more lines"]
        body = "\r\n".join(line + CLEAR_LINE for line in lines)
        terminal.write(1, (HOME + body + CLEAR_BELOW).encode(errors="backslashreplace"))

    def _again(self) -> None:
        """Draw for another size of the terminal."""
        if self._last is not None:
            self.draw(self._last)


def _terminated(number: int, _: object) -> NoReturn:
    raise click.exceptions.Exit(128 + number)
