"""Docker's hijacked streams: of a container (API "Attach to a container"), and of a command in it
(API "Start an exec instance").

The requests are written here, because docker-py's reader does not release the socket.
"""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from launcher.engine.connection import DockerConnection
from launcher.engine.outcome import Refusal, Refused, error_text, mapped, refusal

_MOST_HEAD_BYTES = 16 * 1024
_MOST_ERROR_BYTES = 64 * 1024
_UPGRADED = (101, 200)


@dataclass(frozen=True, slots=True)
class Streams:
    """What a container was created with: a terminal, an open standard input, and for which uid."""

    tty: bool = False
    stdin: bool = False
    uid: int = 0


def attach(host: str, name: str, timeout: float, *, stdin: bool = False) -> socket.socket:
    """Return a socket that carries a container's output from now on, with ``stdin`` also its input.

    Attached before the start, it carries all output: in Docker's frames
    (``wire.docker_stream``), or of a container with a terminal raw. Raises ``EngineUnavailable``,
    ``Refused`` or ``Unknown`` (``outcome``).
    """
    query = "stream=1&stdout=1&stderr=1"
    if stdin:
        query += f"&stdin=1&detachKeys={_never_typed()}"
    return hijacked(host, f"/containers/{name}/attach?{query}", timeout)


def start_command(host: str, exec_id: str, timeout: float, *, tty: bool) -> socket.socket:
    """Start a command in a container; return a socket with its input and output, as ``attach``."""
    body = json.dumps({"Detach": False, "Tty": tty}).encode()
    return hijacked(host, f"/exec/{exec_id}/start", timeout, body)


def _never_typed() -> str:
    """Return keys that detach from a terminal at Docker's own end, which nobody types.

    Docker has no way to switch them off. The first byte is in no text in UTF-8, so that no key is
    held back until the next one.
    """
    return ",".join(["%FF", *secrets.token_hex(16)])


def hijacked(host: str, path: str, timeout: float, body: bytes = b"") -> socket.socket:
    """Return the connection of a request to Docker that has become a stream."""
    with mapped(host):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(timeout)
            connection.connect(host.removeprefix("unix://"))
            connection.sendall(
                f"POST {path} HTTP/1.1\r\n"
                "Host: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
                "Content-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n".encode("ascii")
                + body
            )
            status, rest = _head(connection)
            if status not in _UPGRADED:
                text = error_text(rest.decode("utf-8", "replace"))
                raise Refused(refusal(status, text), status, text)
        except BaseException:
            connection.close()
            raise
        return connection


def _head(connection: socket.socket) -> tuple[int, bytes]:
    """Return the status, and the body of an error. Does not read past the head of a success."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = connection.recv(1)
        if not piece or len(head) > _MOST_HEAD_BYTES:
            raise ConnectionResetError("Docker's response was cut off")
        head += piece
    status = int(head.split(b" ", 2)[1])
    body = b""
    if status not in _UPGRADED:
        length = _length(head)
        while len(body) < length and (piece := connection.recv(length - len(body))):
            body += piece
    return status, body


def _length(head: bytes) -> int:
    """Return the maximum length of an error's body: Docker 20.10 sends none and closes instead."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return min(int(value), _MOST_ERROR_BYTES)
    return _MOST_ERROR_BYTES


@dataclass(frozen=True, slots=True)
class ExecState:
    """The state of one command; ``exit_code`` is None while it runs."""

    container_id: str
    running: bool
    exit_code: int | None


class ContainerTerminals:
    """The calls for commands. Each raises EngineUnavailable, Refused or Unknown (``outcome``)."""

    def __init__(self, connection: DockerConnection) -> None:
        self._connection = connection

    def create(
        self,
        container: str,
        command: Sequence[str],
        *,
        tty: bool,
        stdin: bool,
        environment: Mapping[str, str],
        working_dir: str | None,
    ) -> str:
        """Create a command as the container's user, never privileged; return its id."""
        with self._connection.borrow() as api:
            reply = api.exec_create(
                container,
                list(command),
                stdin=stdin,
                tty=tty,
                privileged=False,
                user="",
                environment=[f"{name}={value}" for name, value in environment.items()],
                workdir=working_dir,
            )
        return str(reply["Id"])

    def attach(self, container: str, *, stdin: bool) -> socket.socket:
        """Return a stream of the container's own command; raises as ``attach``."""
        connection = self._connection
        return attach(connection.host, container, connection.timeout, stdin=stdin)

    def is_running(self, container: str) -> bool:
        """Whether a container runs."""
        with self._connection.borrow() as api:
            return bool(api.inspect_container(container)["State"]["Running"])

    def start(self, command_id: str, *, tty: bool) -> socket.socket:
        """Start a command; return its stream, as ``attach``."""
        connection = self._connection
        return start_command(connection.host, command_id, connection.timeout, tty=tty)

    def find(self, command_id: str) -> ExecState | None:
        """Return a command, None if Docker does not know it."""
        try:
            with self._connection.borrow() as api:
                info = api.exec_inspect(command_id)
        except Refused as refused:
            if refused.refusal is Refusal.MISSING:
                return None
            raise
        return ExecState(str(info["ContainerID"]), bool(info["Running"]), info["ExitCode"])

    def resize_terminal(self, container: str, rows: int, columns: int) -> None:
        """Set the size of a container's terminal."""
        with self._connection.borrow() as api:
            api.resize(container, rows, columns)

    def resize_command(self, command_id: str, rows: int, columns: int) -> None:
        """Set the size of a command's terminal."""
        with self._connection.borrow() as api:
            api.exec_resize(command_id, rows, columns)
