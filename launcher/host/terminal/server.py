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

from launcher.host.terminal.connecting import (
    BUSY,
    GRANTED,
    SIZE,
    SIZE_FORMAT,
    TAKE,
    WATCH,
    WRITE,
    address,
)
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
        self._master, self._listener = master, listener
        self._selector = selectors.DefaultSelector()
        self._clients: set[socket.socket] = set()
        self._writer: socket.socket | None = None
        self._pending = b""
        """What was typed and the terminal has not taken yet; nothing more is read meanwhile."""
        self._unsent = b""
        """What was printed and the writer has not taken yet; nothing more is printed meanwhile."""
        self._register()
        if listener is not None:
            self._selector.register(listener, _READ, self._accept)
        self._over = False

    def serve(self) -> None:
        """Serve until the last process has closed the terminal."""
        while not self._over:
            for key, _ in self._selector.select():
                key.data()
        for client in list(self._clients):
            self._part(client)

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

    def _hear(self, client: socket.socket) -> None:
        self._selector.register(client, _READ, lambda: self._read(client))

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

    def _accept(self) -> None:
        assert self._listener is not None
        client, _ = self._listener.accept()
        if len(self._clients) >= MOST_CLIENTS or peer_of(client).uid not in (os.getuid(), 0):
            client.close()
            return
        client.settimeout(5.0)
        try:
            purpose = client.recv(1)
            if purpose == SIZE:
                size = client.recv(SIZE_FORMAT.size, socket.MSG_WAITALL)
                set_size(self._master, *SIZE_FORMAT.unpack(size))
                client.close()
                return
            if not self._grant(client, purpose):
                client.close()
                return
        except (OSError, struct.error):
            client.close()
            return
        client.settimeout(None)
        self._clients.add(client)
        if client is self._writer:
            self._register()
        else:
            self._hear(client)

    def _grant(self, client: socket.socket, purpose: bytes) -> bool:
        """Make a client the one who writes, or one who watches; False: it is refused."""
        if purpose == WATCH:
            return True
        if purpose not in (WRITE, TAKE):
            return False
        if self._writer is not None:
            if purpose == WRITE:
                client.sendall(BUSY)
                return False
            self._part(self._writer)
        client.sendall(GRANTED)
        self._writer = client
        return True

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
    """Run ``NAME -- COMMAND...``; end as the command ends."""
    name, _, *command = arguments
    listener = _listener(name)
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


def _listener(name: str) -> socket.socket | None:
    """Return the listening socket; None if somebody has taken the address: the job runs anyway."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(address(name))
        listener.listen()
    except OSError as error:
        _write(2, f"nobody can attach to this job: {error.strerror}\n".encode())
        listener.close()
        return None
    return listener


def _pass_on(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
