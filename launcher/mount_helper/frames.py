"""Messages between the helper and its client: one JSON object in each direction."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from typing import Any

from launcher.errors import InternalError, LauncherError, UserError, from_wire

MOST_BYTES = 2**21
"""The size of a job's largest secrets, in base64."""
_PIECE = 65536


def encoded(fields: Mapping[str, Any]) -> bytes:
    """Encode an object; a file name that is not UTF-8 keeps its bytes."""
    return json.dumps(fields).encode("ascii")


def decoded(data: bytes) -> dict[str, Any]:
    """Decode an object; raises ``UserError`` if ``data`` is not a JSON object."""
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UserError(f"not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise UserError("not a JSON object")
    return fields


def receive(connection: socket.socket) -> bytes:
    """Receive until the other side shuts down its end; empty if it went away."""
    data = bytearray()
    try:
        while piece := connection.recv(_PIECE):
            data += piece
            if len(data) > MOST_BYTES:
                raise UserError(f"larger than {MOST_BYTES // 2**20} MiB")
    except ConnectionResetError:  # it replied and closed before it read everything
        if not data:
            raise
    return bytes(data)


def error_fields(error: LauncherError) -> dict[str, Any]:
    """Return an error as the JSON that is sent."""
    return {"error": {"kind": error.kind, "message": error.message, "fix": error.fix}}


def error_of(answer: Mapping[str, Any]) -> LauncherError:
    """Return the error in a reply."""
    error = answer.get("error")
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        return InternalError(f"unexpected reply from the mount helper: {str(answer)[:200]}")
    return from_wire(str(error.get("kind")), error["message"], error.get("fix"))
