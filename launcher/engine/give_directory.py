"""Makes a directory of a created container belong to its user, before the container starts.

Docker has no such call; unpacking an archive that contains just the directory sets its owner and
mode (PUT /containers/{id}/archive, moby daemon/archive_unix.go). What is in it keeps its owners.
"""

from __future__ import annotations

import base64
import io
import json
import stat
import tarfile
from typing import Any

from launcher.core.policy.own_directories import may_own
from launcher.core.policy.policy import normal
from launcher.engine.containers import Containers

_GO_DIRECTORY, _GO_SYMLINK = 1 << 31, 1 << 27
"""Bits of Go's FileMode (io/fs), in which Docker reports modes."""
_STAT = "X-Docker-Container-Path-Stat"


def give_directory(containers: Containers, name: str, path: str, uid: int, gid: int) -> None:
    """Make a directory the user's unless everybody may write to it; raises as Docker's calls do.

    A symlink is followed once. A path that is not a directory is left alone.
    """
    info = _stat(containers, name, path)
    if info is not None and info["mode"] & _GO_SYMLINK:
        path = normal(str(info.get("linkTarget") or path))
        info = _stat(containers, name, path) if may_own(path) else None
    if info is None or not info["mode"] & _GO_DIRECTORY or info["mode"] & stat.S_IWOTH:
        return
    archive = _directory(path.lstrip("/"), (info["mode"] & 0o777) | stat.S_IRWXU, uid, gid)
    containers.unpack(name, archive)


def _stat(containers: Containers, name: str, path: str) -> dict[str, Any] | None:
    header = containers.path_header(name, path, _STAT)
    return None if header is None else dict(json.loads(base64.b64decode(header)))


def _directory(name: str, mode: int, uid: int, gid: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.uid, member.gid = tarfile.DIRTYPE, mode, uid, gid
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(member)
    return buffer.getvalue()
