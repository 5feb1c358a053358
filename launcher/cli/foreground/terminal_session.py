"""One session with a job's terminal: keys and input go there, output comes here."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from enum import Enum

from launcher.cli.foreground.detach_keys import DetachKeys
from launcher.cli.foreground.screen import Screen
from launcher.cli.output import terminal
from launcher.cli.output.escapes import Cleaner
from launcher.client.terminal import Attached
from launcher.wire.docker_stream import Demultiplexer

_PIECE = 1 << 16
Resize = Callable[[int, int], None]


class SessionEnd(Enum):
    """How a session ended."""

    #: The stream ended: the command did, or the connection broke.
    STREAM = "stream"
    DETACHED = "detached"


class TerminalSession:
    """One attached connection. ``sends``: what comes on stdin is sent.

    A job's terminal is shown as it is. Other output is shown on a terminal without what could
    steer that.
    """

    def __init__(
        self,
        attached: Attached,
        *,
        sends: bool,
        keys: DetachKeys | None = None,
    ) -> None:
        self._attached, self._connection = attached, attached.connection
        self._keys, self._cleaner = keys, Cleaner(raw=attached.raw)
        self._sends = sends and attached.writes
        self._reads_keys = sends or keys is not None
        self._streams = None if attached.raw else Demultiplexer()
        self._pending = b""
        self._input_over = False
        self._screen: Screen | None = None
        self.has_read = False
        """Whether some of the input was read, which no other session can send again."""

    def run(self, resize: Resize | None = None) -> SessionEnd:
        """Stay until the stream ends, or until the keys that detach.

        ``resize`` is told the size of this terminal, now and whenever it changes.
        """
        self._connection.setblocking(False)
        with contextlib.ExitStack() as stack:
            stack.callback(self._connection.close)
            if self._attached.raw and self._reads_keys and os.isatty(0):
                self._screen = stack.enter_context(Screen(0, 1))
            if resize is not None:
                stack.enter_context(_sizes(resize))
            self._show(self._attached.early)
            return self._move()

    def _move(self) -> SessionEnd:
        poll = select.poll()
        while True:
            self._await(poll)
            ready = dict(poll.poll())
            if 0 in ready and self._read_input():
                return SessionEnd.DETACHED
            if self._connection.fileno() in ready and self._exchange():
                return SessionEnd.STREAM

    def _await(self, poll: select.poll) -> None:
        wants = select.POLLIN | (select.POLLOUT if self._pending else 0)
        poll.register(self._connection, wants)
        if self._reads_keys and not self._pending and not self._input_over:
            poll.register(0, select.POLLIN)
        else:
            with contextlib.suppress(KeyError):
                poll.unregister(0)

    def _read_input(self) -> bool:
        """Take what was typed or piped in; return whether it was the keys that detach."""
        try:
            data = os.read(0, _PIECE)
        except OSError:
            data = b""
        detached = False
        self.has_read = self.has_read or bool(data)
        if not data:
            self._input_over = True
        elif self._keys is not None:
            data, detached = self._keys.feed(data)
        if self._sends:
            self._pending += data
            self._send()
        return detached

    def _send(self) -> None:
        """Send what the connection takes; at the end of the input close that direction."""
        try:
            with contextlib.suppress(BlockingIOError):
                while self._pending:
                    self._pending = self._pending[self._connection.send(self._pending) :]
        except OSError:  # its other end is closed, which reading will show
            self._pending, self._sends = b"", False
        if self._input_over and not self._pending and self._sends:
            self._sends = False
            with contextlib.suppress(OSError):
                self._connection.shutdown(1)

    def _exchange(self) -> bool:
        """Move what can be moved; return whether the stream has ended."""
        if self._pending:
            self._send()
        try:
            data = self._connection.recv(_PIECE)
        except BlockingIOError:
            return False
        except OSError:
            return True
        self._show(data)
        return not data

    def _show(self, data: bytes) -> None:
        pieces = (
            [(1, data)]
            if self._streams is None
            else ([(stream, bytes(some)) for stream, some in self._streams.feed(data)])
        )
        for stream, piece in pieces:
            if self._screen is not None:
                self._screen.note(piece)
            fd = 2 if stream == 2 else 1
            terminal.write(fd, self._cleaner.clean(fd, piece))


@contextlib.contextmanager
def _sizes(resize: Resize) -> Iterator[None]:
    """Tell the size of this terminal in a thread: now, and after each change, the last one."""
    changed, over = threading.Event(), False

    def tell() -> None:
        while changed.wait() and not over:
            changed.clear()
            with contextlib.suppress(OSError):
                columns, rows = os.get_terminal_size(0)
                if rows and columns:
                    resize(rows, columns)

    changed.set()
    threading.Thread(target=tell, daemon=True, name="sizes").start()
    before = signal.signal(signal.SIGWINCH, lambda *_: changed.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
        over = True
        changed.set()
