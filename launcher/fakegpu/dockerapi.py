"""The sandbox's calls to its own dockerd, with the standard library only."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from launcher.errors import LauncherError


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def call(
    socket_path: Path,
    method: str,
    path: str,
    body: bytes | Iterable[bytes] | None = None,
    *,
    timeout: float = 60.0,
) -> tuple[int, bytes]:
    """Make one request; return (status, body). OSError if no process answers."""
    connection = _UnixConnection(socket_path, timeout)
    try:
        connection.request(method, path, body, {"Content-Type": "application/x-tar"})
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def answers(socket_path: Path, *, timeout: float = 2.0) -> bool:
    """Whether a dockerd answers on the socket."""
    try:
        return call(socket_path, "GET", "/_ping", timeout=timeout)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def remove_all_containers(socket_path: Path) -> None:
    """Kill and remove every container of this dockerd; ignore those being removed."""
    _, body = call(socket_path, "GET", "/containers/json?all=1")
    for row in json.loads(body):
        call(socket_path, "DELETE", f"/containers/{row['Id']}?force=1&v=1")


def import_image(socket_path: Path, tar: bytes, tag: str, changes: Iterable[str] = ()) -> None:
    """Create an image from a root file system; LauncherError if dockerd refuses it."""
    repository, _, label = tag.rpartition(":")
    query = [("fromSrc", "-"), ("repo", repository), ("tag", label)]
    query += [("changes", change) for change in changes]
    target = f"/images/create?{urlencode(query, quote_via=quote)}"
    status, body = call(socket_path, "POST", target, tar)
    rows: list[dict[str, Any]] = [json.loads(line) for line in body.splitlines() if line.strip()]
    errors = [row.get("error") or row.get("message") for row in rows]
    if status != 200 or any(errors):
        raise LauncherError(f"dockerd cannot import {tag}: {errors}")
