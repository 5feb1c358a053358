"""The style sheet, the script and the icon: each under a name with its hash, kept by browsers."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

_HERE = Path(__file__).parent / "static"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_DIGITS = 16


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file and the name under which it is served."""

    served_as: str
    kind: str
    body: bytes


@functools.cache
def files() -> dict[str, StaticFile]:
    """Return the files by their own names, read once."""
    result = {}
    for path in sorted(_HERE.iterdir()):
        if path.suffix in _TYPES:
            body = path.read_bytes()
            digest = hashlib.sha256(body).hexdigest()[:_DIGITS]
            name = f"{path.stem}.{digest}{path.suffix}"
            result[path.name] = StaticFile(name, _TYPES[path.suffix], body)
    return result


def url(name: str) -> str:
    """Return the path of a file."""
    return f"/static/{files()[name].served_as}"


def reply(served_as: str) -> web.Response:
    """Return a file; raises ``HTTPNotFound`` for another name, such as that of an older version."""
    for each in files().values():
        if each.served_as == served_as:
            headers = {
                "Content-Type": each.kind,
                "Cache-Control": "public, max-age=31536000, immutable",
            }
            return web.Response(body=each.body, headers=headers)
    raise web.HTTPNotFound
