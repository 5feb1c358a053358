"""One session with a job's terminal: keys and input go there, output comes here."""

from __future__ import annotations

import contextlib
import os
import select
from enum import Enum

from launcher.cli.foreground.detach_keys import DetachKeys
from launcher.cli.foreground.screen import Screen
from launcher.cli.foreground.terminal_sizes import Resize, TerminalSizes
from launcher.cli.output import terminal
from launcher.cli.output.escapes import Cleaner
from launcher.client.terminal import Attached
from launcher.wire.docker_stream import Demultiplexer

_PIECE = 1 << 16


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
        self._sizes: TerminalSizes | None = None
        """Until it has told the first size, nothing is read from stdin."""
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
                self._sizes = stack.enter_context(TerminalSizes(resize))
            self._show(self._attached.early)
            return self._move()

    def _move(self) -> SessionEnd:
        poll = select.poll()
        while True:
            patience = None if self._sizes is None else self._sizes.patience()
            self._await(poll, waits=patience is not None)
            ready = dict(poll.poll(None if patience is None else patience * 1000))
            if self._sizes is not None and self._sizes.told in ready:
                self._sizes.first_is_told()
            if 0 in ready and self._read_input():
                return SessionEnd.DETACHED
            if self._connection.fileno() in ready and self._exchange():
                return SessionEnd.STREAM

    def _await(self, poll: select.poll, *, waits: bool) -> None:
        """Have what can be moved reported; no input while it ``waits`` for the first size."""
        wants = select.POLLIN | (select.POLLOUT if self._pending else 0)
        poll.register(self._connection, wants)
        reads = self._reads_keys and not (self._pending or self._input_over or waits)
        _report(poll, 0, on=reads)
        if self._sizes is not None:
            _report(poll, self._sizes.told, on=waits)

    def _read_input(self) -> bool:
        """Take what was typed or piped in; return whether it was the keys that detach."""
        try:
            data = os.read(0, _PIECE)
        except BlockingIOError:  # another process has read it
            return False
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


def _report(poll: select.poll, fd: int, *, on: bool) -> None:
    if on:
        poll.register(fd, select.POLLIN)
        return
    with contextlib.suppress(KeyError):
        poll.unregister(fd)
