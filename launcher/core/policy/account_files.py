"""The /etc/passwd and /etc/group of a container: the image's, with the job's user first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

MOST_LINES = 2000
MOST_BYTES = 64 * 1024
"""Of an image's entries, in UTF-8: an unreadable byte of a file becomes three."""
_FIELD = re.compile(r"[^:\x00-\x1f\x7f]*")


def passwd(image: str, name: str, uid: int, gid: int, home: str, shell: str) -> str:
    """Return passwd(5) with the user; entries of the image with the name or uid are left out."""
    ours = ":".join([_plain(name), "x", str(uid), str(gid), _plain(name), _plain(home), shell])
    others = _others(image, 7, {_plain(name)}, {str(uid)})
    return "\n".join([ours, *others]) + "\n"


def group(image: str, user: str, gid: int, gids: Iterable[int], names: Mapping[int, str]) -> str:
    """Return group(5) with the user's primary group and ``gids``; they replace the image's.

    ``names`` are the groups' names by gid; a group without one is named for its number.
    """
    kept = {each: _plain(names.get(each, f"group{each}")) for each in (gid, *gids)}
    members = {each: "" if each == gid else _plain(user) for each in kept}
    ours = [f"{name}:x:{each}:{members[each]}" for each, name in kept.items()]
    others = _others(image, 4, set(kept.values()), {str(each) for each in kept})
    return "\n".join([*ours, *others]) + "\n"


def _others(text: str, fields: int, names: set[str], ids: set[str]) -> list[str]:
    """Return the well-formed entries of an image that are not ours."""
    kept, size = [], 0
    for line in text.split("\n")[:MOST_LINES]:
        row = line.split(":")
        if len(row) == fields and row[0] and row[0] not in names and row[2] not in ids:
            size += len(line.encode()) + 1
            if size > MOST_BYTES:
                break
            kept.append(line)
    return kept


def _plain(text: str) -> str:
    """Return a text that can stand in a field; others would add fields or lines."""
    return text if _FIELD.fullmatch(text) else "_"
