"""Runs a command in a terminal, and serves those who attach to it: one writes, others watch."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import selectors
import signal
import socket
import struct
import sys
import termios
from collections.abc import Callable, Sequence

from launcher.host.terminal.connecting import SIZE, SIZE_FORMAT, WATCH, WRITE
from launcher.listening import Acceptor
from launcher.peers import peer_of

ROWS, COLUMNS = 24, 80
MOST_CLIENTS = 64
_PIECE = 1 << 16
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
_PASSED_ON = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1,
              signal.SIGUSR2)  # fmt: skip
NOT_FOUND, CANNOT_RUN = 127, 126


class TerminalServer:
    """One command in its terminal. Everything waits in one place: ``serve``."""

    def __init__(self, master: int, listener: socket.socket | None) -> None:
        os.set_blocking(master, False)
        self._master = master
        self._selector = selectors.DefaultSelector()
        self._silent: dict[socket.socket, bytes] = {}
        """Connections whose purpose is not known yet, the oldest first, and what they have sent."""
        self._clients: set[socket.socket] = set()
        self._writer: socket.socket | None = None
        self._pending = b""
        """What was typed and the terminal has not taken yet; nothing more is read meanwhile."""
        self._unsent = b""
        """What was printed and the writer has not taken yet; nothing more is printed meanwhile."""
        self._register()
        self._acceptor = None if listener is None else self._accepting(listener)
        self._over = False

    def serve(self) -> None:
        """Serve until the last process has closed the terminal."""
        while not self._over:
            acceptor = self._acceptor
            for key, _ in self._selector.select(None if acceptor is None else acceptor.patience()):
                key.data()
            if acceptor is not None:
                acceptor.resume_if_due()
        for client in [*self._clients, *self._silent]:
            self._part(client)

    def _accepting(self, listener: socket.socket) -> Acceptor:
        owner = peer_of(listener).uid  # of a listening socket: who made it listen

        def watch(on: bool) -> None:
            self._await(listener, _READ if on else 0, accept)

        def accept() -> None:
            client = acceptor.accept()
            if client is None:
                return
            if peer_of(client).uid != owner or not self._has_room():
                client.close()
                return
            client.setblocking(False)
            self._silent[client] = b""
            self._await(client, _READ, lambda: self._learn_purpose(client))

        def report(text: str) -> None:
            _write(1, f"the terminal of this job {text}\r\n".encode())

        acceptor = Acceptor(listener, watch, report)
        return acceptor

    def _has_room(self) -> bool:
        """Whether there is room for another client; the oldest one without a purpose gives way."""
        if len(self._clients) + len(self._silent) >= MOST_CLIENTS and self._silent:
            self._part(next(iter(self._silent)))
        return len(self._clients) + len(self._silent) < MOST_CLIENTS

    def _turn(self) -> None:
        """Pass on what the command prints, and give it what is typed."""
        if self._pending:
            self._type(b"")
        if not self._unsent:
            self._print()
        self._register()

    def _register(self) -> None:
        """Wait for what the terminal and the writer can take and give."""
        events = (0 if self._unsent else _READ) | (_WRITE if self._pending else 0)
        self._await(self._master, events, self._turn)
        if (writer := self._writer) is not None:
            events = (0 if self._pending else _READ) | (_WRITE if self._unsent else 0)
            self._await(writer, events, lambda: self._serve_writer(writer))

    def _await(self, file: int | socket.socket, events: int, turn: Callable[[], None]) -> None:
        known = file in self._selector.get_map()
        if events and known:
            self._selector.modify(file, events, turn)
        elif events:
            self._selector.register(file, events, turn)
        elif known:
            self._selector.unregister(file)

    def _serve_writer(self, writer: socket.socket) -> None:
        if writer is not self._writer:
            return  # it was parted with after the selector returned
        if self._unsent:
            self._send(b"")
        if writer is self._writer and not self._pending:
            self._read(writer)
        self._register()

    def _send(self, data: bytes) -> None:
        """Give the writer as much as it takes; the rest waits."""
        assert self._writer is not None
        self._unsent += data
        try:
            self._unsent = self._unsent[self._writer.send(self._unsent, socket.MSG_DONTWAIT) :]
        except BlockingIOError:
            return
        except OSError:
            self._part(self._writer)

    def _type(self, data: bytes) -> None:
        """Give the terminal as much as it takes; the rest waits."""
        self._pending += data
        with contextlib.suppress(OSError):
            self._pending = self._pending[os.write(self._master, self._pending) :]

    def _print(self) -> None:
        """Write what the command prints to stdout, and to all who are attached."""
        try:
            data = os.read(self._master, _PIECE)
        except BlockingIOError:
            return
        except OSError:  # EIO: nobody has it open
            data = b""
        if not data:
            self._over = True
            return
        _write(1, data)
        for client in list(self._clients):
            if client is self._writer:
                self._send(data)
                continue
            try:
                client.send(data, socket.MSG_DONTWAIT)  # a slow watcher misses some
            except BlockingIOError:
                continue
            except OSError:
                self._part(client)

    def _learn_purpose(self, client: socket.socket) -> None:
        """Read what a new connection is for, as far as it has arrived, and admit the client."""
        said = self._silent.get(client)
        if said is None:
            return  # it was parted with after the selector returned
        length = 1 + SIZE_FORMAT.size if said[:1] == SIZE else 1
        try:
            data = client.recv(length - len(said))
        except BlockingIOError:
            return
        except OSError:
            data = b""
        said = self._silent[client] = said + data
        if not data or (said not in (WRITE, WATCH) and said[:1] != SIZE):
            self._part(client)
        elif said[:1] != SIZE:
            self._admit(client, writes=said == WRITE)
        elif len(said) == 1 + SIZE_FORMAT.size:
            set_size(self._master, *SIZE_FORMAT.unpack(said[1:]))
            self._part(client)

    def _admit(self, client: socket.socket, *, writes: bool) -> None:
        del self._silent[client]
        self._clients.add(client)
        if not writes:
            self._await(client, _READ, lambda: self._read(client))
            return
        if self._writer is not None:
            self._part(self._writer)
        self._writer = client
        self._register()

    def _read(self, client: socket.socket) -> None:
        try:
            data = client.recv(_PIECE, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._part(client)
        elif client is self._writer:
            self._type(data)

    def _part(self, client: socket.socket) -> None:
        self._clients.discard(client)
        self._silent.pop(client, None)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(client)
        client.close()
        if client is self._writer:
            self._writer, self._pending, self._unsent = None, b"", b""
            self._register()


def set_size(terminal: int, rows: int, columns: int) -> None:
    """Set the size of a terminal (ioctl_tty(2), TIOCSWINSZ)."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _start(command: Sequence[str]) -> tuple[int, int]:
    """Start a command in a new session with a terminal of its own; return its pid and our end."""
    pid, master = pty.fork()
    if pid:
        return pid, master
    try:
        os.execvp(command[0], list(command))
    except FileNotFoundError as error:
        _write(2, f"{command[0]}: {error.strerror}\n".encode())
        os._exit(NOT_FOUND)
    except OSError as error:
        _write(2, f"{command[0]}: {error.strerror}\n".encode())
    os._exit(CANNOT_RUN)


def main(arguments: Sequence[str]) -> int:
    """Run ``-- COMMAND...``; end as the command ends."""
    _, *command = arguments
    listener = _listener()
    pid, master = _start(command)
    set_size(master, ROWS, COLUMNS)
    for number in _PASSED_ON:
        signal.signal(number, lambda number, _: _pass_on(pid, number))
    TerminalServer(master, listener).serve()
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def _listener() -> socket.socket | None:
    """Return the listening socket, which is stdin; None without one: the job runs anyway."""
    try:
        return socket.socket(fileno=0)
    except OSError as error:  # a helper of an earlier version does not pass it on
        _write(2, f"nobody can attach to this job: {error.strerror}\n".encode())
        return None


def _pass_on(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
