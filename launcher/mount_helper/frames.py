"""Messages between the helper and its client: one JSON object each way, then the end."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from typing import Any

from launcher.errors import InternalError, LauncherError, UserError, from_wire

MOST_BYTES = 2**21
"""As much as a job's secrets take, in base64."""
_PIECE = 65536


def encoded(fields: Mapping[str, Any]) -> bytes:
    """Return an object as bytes; a file name that is not UTF-8 keeps its bytes."""
    return json.dumps(fields).encode("ascii")


def decoded(data: bytes) -> dict[str, Any]:
    """Return the object in ``data``; raises ``UserError`` where there is none."""
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UserError(f"not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise UserError("not a JSON object")
    return fields


def receive(connection: socket.socket) -> bytes:
    """Return all that comes until the other side has said everything; empty: it went away."""
    data = bytearray()
    try:
        while piece := connection.recv(_PIECE):
            data += piece
            if len(data) > MOST_BYTES:
                raise UserError(f"larger than {MOST_BYTES // 2**20} MiB")
    except ConnectionResetError:  # it had its say and did not hear us out
        if not data:
            raise
    return bytes(data)


def told(error: LauncherError) -> dict[str, Any]:
    """Return an error as it is sent."""
    return {"error": {"kind": error.kind, "message": error.message, "fix": error.fix}}


def error_of(answer: Mapping[str, Any]) -> LauncherError:
    """Return the error that was sent."""
    error = answer.get("error")
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        return InternalError(f"the helper answered {str(answer)[:200]}")
    return from_wire(str(error.get("kind")), error["message"], error.get("fix"))
