"""Parses requests strictly: the helper has root's rights and trusts no field."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from launcher.errors import UserError
from launcher.homes.values import MOST_FILE, MOST_PARENTS, HomeRequest

MOST_MOUNTS, MOST_GROUPS, MOST_NAMES, MOST_INSIDE = 32, 4096, 20_000, 128
MOST_OPENINGS = 4
"""Per user."""
MOST_SECRETS, MOST_SECRET_BYTES = 16, 64 * 1024
MOST_HOME_FILES = 4
MOST_ID = 2**32 - 2
"""The largest 32-bit value means "leave unchanged" (setresuid(2))."""
_PATH_MAX = 4096
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,127}")
_FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}")

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MountRequest:
    """A place beneath a root; ``path`` is relative to it, empty or ``.`` for the root itself.

    ``inside`` are directories that must exist, reached without a symlink: pairs of (label for
    errors, path from the place).
    """

    root: str
    path: str
    read_only: bool = True
    inside: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return str(PurePosixPath(self.root, self.path))

    def as_json(self) -> dict[str, Any]:
        """Return the mount as the JSON that is sent."""
        fields = asdict(self)
        return fields if self.inside else {k: v for k, v in fields.items() if k != "inside"}


@dataclass(frozen=True, slots=True)
class User:
    """The identity whose rights apply: the uid, the gid and all further groups, as numbers."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


def secrets_of(fields: Fields) -> dict[str, bytes]:
    """Return the files to create, by name; an error quotes no content."""
    result = fields["secrets"]
    if not isinstance(result, dict) or not 0 < len(result) <= MOST_SECRETS:
        raise UserError(f"secrets: must be an object of 1 to {MOST_SECRETS} files")
    return {_file_name(name): _content(name, text) for name, text in result.items()}


def _file_name(value: Any) -> str:
    if not isinstance(value, str) or not _FILE_NAME.fullmatch(value):
        raise UserError(f"secrets: {value!r} is not a file name: A-Z a-z 0-9 . _ -")
    return value


def _content(name: str, text: Any) -> bytes:
    try:
        content = base64.b64decode(text, validate=True) if isinstance(text, str) else None
    except ValueError:
        content = None
    if content is None:
        raise UserError(f"secrets: {name} is not in base64")
    if len(content) > MOST_SECRET_BYTES:
        raise UserError(f"secrets: {name} is larger than {MOST_SECRET_BYTES // 1024} KiB")
    return content


def home_of(fields: Fields) -> HomeRequest:
    """Return the directories to make for a container of a user other than root."""
    user = user_of({**fields, "groups": []}, root_allowed=False)
    parents = [
        _beneath("parents", path) for path in _list("parents", fields["parents"], MOST_PARENTS)
    ]
    files = fields["files"]
    if not isinstance(files, dict) or len(files) > MOST_HOME_FILES:
        raise UserError(f"files: must be an object of at most {MOST_HOME_FILES} texts")
    for name, text in files.items():
        _file_name(name)
        if not isinstance(text, str) or len(text.encode()) > MOST_FILE:
            raise UserError(f"files: {name} must be a text of at most {MOST_FILE} bytes")
    return HomeRequest(
        container=container_of(fields),
        uid=user.uid,
        gid=user.gid,
        parents=tuple(parents),
        files=files,
        cache=_flag("cache", fields["cache"]),
        fresh=_flag("fresh", fields["fresh"]),
        limit=_size("limit", fields["limit"]),
    )


def directory_of(fields: Fields) -> str:
    """Return the directory of all homes."""
    directory = _text("homes", fields["homes"])
    check_root(directory)
    return directory


def uids_of(fields: Fields) -> list[int]:
    """Return a list of uids."""
    return [_id("uids", uid) for uid in _list("uids", fields["uids"], MOST_NAMES)]


def _beneath(where: str, value: Any) -> str:
    path = _text(where, value)
    check_root(f"/{path}")
    return path


def _size(where: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise UserError(f"{where}: {value!r} is not a number of bytes")
    return value


def _flag(where: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise UserError(f"{where}: must be true or false")
    return value


def only(fields: Fields, *names: str) -> None:
    """Refuse unknown and missing fields: an old helper must not ignore a new one."""
    for name in fields.keys() - set(names):
        raise UserError(f"unknown field {name!r}", fix=f"Known: {', '.join(names)}")
    for name in names:
        if name not in fields:
            raise UserError(f"{name}: missing")


def container_of(fields: Fields) -> str:
    """Return the name of a container, checked to be a single component of a path."""
    return _container("container", fields["container"])


def containers_of(fields: Fields) -> list[str]:
    """Return a list of names of containers."""
    result = _list("containers", fields["containers"], MOST_NAMES)
    return [_container("containers", name) for name in result]


def prefix_of(fields: Fields) -> str:
    """Return the prefix of the container names; empty means all."""
    prefix = fields["prefix"]
    return _container("prefix", prefix) if prefix != "" else ""


def user_of(fields: Fields, *, root_allowed: bool) -> User:
    """Return the user whose rights apply; uid 0 only if allowed."""
    groups = _list("groups", fields["groups"], MOST_GROUPS)
    user = User(
        _id("uid", fields["uid"]),
        _id("gid", fields["gid"]),
        tuple(_id("groups", group) for group in groups),
    )
    if user.uid == 0 and not root_allowed:
        raise UserError("uid: 0 is root; the helper pins nothing for root")
    return user


def dockerd_of(fields: Fields) -> int | None:
    """Return the pid of the process that must see the pins, None for no check."""
    pid = fields["dockerd"]
    if pid is None:
        return None
    if _id("dockerd", pid) == 0:
        raise UserError("dockerd: 0 is not a pid")
    return int(pid)


def mounts_of(fields: Fields) -> tuple[MountRequest, ...]:
    """Return the mounts, 1 to ``MOST_MOUNTS``."""
    mount_requests = _list("mounts", fields["mounts"], MOST_MOUNTS)
    if not mount_requests:
        raise UserError("mounts: empty")
    return tuple(_mount(f"mounts[{at}]", mount) for at, mount in enumerate(mount_requests))


def _mount(where: str, value: Any) -> MountRequest:
    if not isinstance(value, dict):
        raise UserError(f"{where}: must be an object")
    try:
        only({"inside": [], **value}, "root", "path", "read_only", "inside")
    except UserError as error:
        raise UserError(f"{where}.{error.message}", fix=error.fix) from None
    root, path = (_text(f"{where}.{name}", value[name]) for name in ("root", "path"))
    read_only = _flag(f"{where}.read_only", value["read_only"])
    check_root(root)
    if path.startswith("/"):
        raise UserError(f"{where}.path: {path!r} must be relative to the root {root}")
    return MountRequest(root, path, read_only, _inside(f"{where}.inside", value.get("inside", [])))


def _inside(where: str, value: Any) -> tuple[tuple[str, str], ...]:
    pairs = []
    for pair in _list(where, value, MOST_INSIDE):
        if not isinstance(pair, list) or len(pair) != 2:
            raise UserError(f"{where}: must be pairs of a name and a path")
        label, path = (_text(where, text) for text in pair)
        if path.startswith("/"):
            raise UserError(f"{where}: {path!r} must be relative to the mount")
        pairs.append((label, path))
    return tuple(pairs)


def check_root(root: str) -> None:
    """Raise unless the root is a normalised absolute path."""
    plain = root.startswith("/") and all(
        part not in ("", ".", "..") for part in root[1:].split("/")
    )
    if not plain:
        raise UserError(
            f"mount root {root!r} must be an absolute path without //, /./, /../ or a last /"
        )


def _text(where: str, value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise UserError(f"{where}: must be text without NUL")
    if len(value) > _PATH_MAX:
        raise UserError(f"{where}: longer than {_PATH_MAX} characters")
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise UserError(f"{where}: {value!r} is not a valid file name") from None
    return value


def is_container(value: object) -> bool:
    """Whether this is a valid name of a launcher container."""
    return isinstance(value, str) and bool(_NAME.fullmatch(value)) and ".." not in value


def _container(where: str, value: Any) -> str:
    if not is_container(value):
        raise UserError(f"{where}: {value!r} is not a container's name: a-z 0-9 . -")
    return str(value)


def _id(where: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MOST_ID:
        raise UserError(f"{where}: {value!r} is not a number from 0 to {MOST_ID}")
    return value


def _list(where: str, value: Any, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise UserError(f"{where}: must be a list of at most {most}")
    return value
