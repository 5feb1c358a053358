"""A door in front of a server on loopback: what is large waits until it is opened."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading


class Gate:
    """Passes connections on; each gets so many bytes of its answers, the rest once it is open."""

    def __init__(self, port: int, first_bytes: int) -> None:
        self._port, self._first_bytes = port, first_bytes
        self._opened = threading.Event()
        gate = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                gate._pass_on(self.request)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def _pass_on(self, near: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self._port)) as far:
            asking = threading.Thread(target=self._pump, args=(near, far), daemon=True)
            asking.start()
            self._pump(far, near, self._first_bytes)
            asking.join(1)

    def _pump(self, source: socket.socket, sink: socket.socket, first: int | None = None) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                passed += len(piece)
                if first is not None and passed > first:
                    self._opened.wait(60)
                sink.sendall(piece)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def open(self) -> None:
        """Let everything through from now on."""
        self._opened.set()

    def close(self) -> None:
        """Take no more connections, and let those that wait go on."""
        self.open()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
