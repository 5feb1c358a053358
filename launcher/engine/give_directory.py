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
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from launcher.core.policy.own_directories import may_own
from launcher.core.policy.policy import normal
from launcher.engine.containers import Containers

_GO_DIRECTORY, _GO_SYMLINK = 1 << 31, 1 << 27
"""Bits of Go's FileMode (io/fs), in which Docker reports modes."""
_STAT = "X-Docker-Container-Path-Stat"
MOST_PLACES = 128
"""Each is one request."""


def give_directory(
    containers: Containers, name: str, path: str, mounts: Sequence[str], uid: int, gid: int
) -> None:
    """Make a directory the user's unless everybody may write to it; raises as Docker's calls do.

    Docker changes the owner as root, with the container's mounts in place: a path that leads into
    one of ``mounts``, the targets of all mounts, is left alone, and so is what is not a directory.
    """
    places = _Places(containers, name)
    place, targets = places.real(path), [places.real(target) for target in mounts]
    if place is None or None in targets or not may_own(place):
        return
    if any(f"{place}/".startswith(f"{target}/") for target in targets):
        return
    info = places.stat(place)
    if info is None or not info["mode"] & _GO_DIRECTORY or info["mode"] & stat.S_IWOTH:
        return
    archive = _directory(place.lstrip("/"), (info["mode"] & 0o777) | stat.S_IRWXU, uid, gid)
    containers.unpack(name, archive)


@dataclass(frozen=True, slots=True)
class _Places:
    """The paths of one container that does not run yet, with the mounts in place."""

    containers: Containers
    name: str
    known: dict[str, dict[str, Any] | None] = field(default_factory=dict)

    def real(self, path: str) -> str | None:
        """Return a path without symlinks; None if there are too many directories to look at.

        Docker has followed all symlinks in a ``linkTarget``. Users may change symlinks in a mount
        meanwhile, but not those of the image.
        """
        at = ""
        for part in normal(path).strip("/").split("/"):
            at = f"{at}/{part}"
            if at not in self.known and len(self.known) >= MOST_PLACES:
                return None
            info = self.stat(at)
            if info is not None and info["mode"] & _GO_SYMLINK:
                target = normal(str(info.get("linkTarget") or at))
                at = "" if target == "/" else target
        return at or "/"

    def stat(self, path: str) -> dict[str, Any] | None:
        """Return what Docker reports of a path, None if it is missing."""
        if path not in self.known:
            header = self.containers.path_header(self.name, path, _STAT)
            self.known[path] = None if header is None else json.loads(base64.b64decode(header))
        return self.known[path]


def _directory(name: str, mode: int, uid: int, gid: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.uid, member.gid = tarfile.DIRTYPE, mode, uid, gid
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(member)
    return buffer.getvalue()
