"""The API as a program of another user speaks it: over the unix socket, as the kernel knows him."""

from __future__ import annotations

import functools
import socket
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from tests.support.daemon import as_user

BASE = "http://launcher"
SECONDS = 20.0


def connected(path: Path, uid: int) -> socket.socket:
    """Return a connection that is this user's."""
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(SECONDS)
    with as_user(uid):
        made.connect(str(path))
    return made


class _Connection(HTTPConnection):
    """A connection to a unix socket, made by one user; ``ready`` ones were made before."""

    def __init__(
        self, *words: Any, path: Path, uid: int, ready: list[socket.socket], **named: Any
    ) -> None:
        super().__init__(*words, **named)
        self._path, self._uid, self._ready = path, uid, ready

    def _new_conn(self) -> socket.socket:
        return self._ready.pop() if self._ready else connected(self._path, self._uid)


class _Adapter(HTTPAdapter):
    """Sends what is asked of any host to one socket."""

    def __init__(self, path: Path, uid: int, ready: list[socket.socket]) -> None:
        super().__init__()
        self._ready = ready
        self._pool = HTTPConnectionPool("launcher", maxsize=1)
        made = functools.partial(_Connection, path=path, uid=uid, ready=ready)
        self._pool.ConnectionCls = made  # type: ignore[assignment]

    def get_connection_with_tls_context(self, *words: Any, **named: Any) -> HTTPConnectionPool:
        return self._pool

    def close(self) -> None:
        for each in self._ready:
            each.close()
        self._pool.close()
        super().close()


def session(path: Path, uid: int, *, at_once: bool = False) -> requests.Session:
    """Return a session on a daemon's socket whose connections are this user's.

    Other threads may use one that has connected ``at_once``: who a process is all of it is.
    """
    made = requests.Session()
    made.trust_env = False
    made.mount("http://", _Adapter(path, uid, [connected(path, uid)] if at_once else []))
    return made
