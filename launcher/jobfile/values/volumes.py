"""Bind mounts as people write them: Compose's short form, and its long form's checks.

Every function raises ``ValueError`` with a message for people.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.spec.job_spec import Mount

HOMES = ("job", "real")
"""The HOME of a job's container: its own, or its user's real one."""

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class OtherMachine:
    """The daemon's machine, if it is not this one: mounts are directories of that machine.

    ``account`` returns the user's name and home directory there, and may connect.
    """

    name: str
    account: Callable[[], tuple[str, str]]


MOUNTED_ON: ContextVar[OtherMachine | None] = ContextVar("MOUNTED_ON", default=None)
"""The machine whose directories are mounted; None: this one."""

_MODES = {"": False, "rw": False, "ro": True}
NO_MEANING = {"z", "Z", "cached", "delegated", "consistent"}
"""Modes of SELinux and of Docker Desktop, which change nothing here."""


def parse_volume(text: str, base: Path) -> Mount:
    """Return the mount of ``SOURCE:TARGET[:ro|rw]``; a relative source is relative to ``base``."""
    parts = text.split(":")
    if len(parts) == 1:
        raise ValueError(f"'{text[:120]}' names no directory of this machine: write SOURCE:TARGET")
    if len(parts) > 3:
        raise ValueError(f"'{text[:120]}' has too many colons: write SOURCE:TARGET[:ro]")
    written = parts[2].split(",") if len(parts) == 3 else []
    modes = [mode for mode in written if mode not in NO_MEANING] or [""]
    if len(modes) > 1 or modes[0] not in _MODES:
        raise ValueError(f"'{parts[2][:40]}' is not a valid mount mode: write ro or rw")
    return bind(parts[0], parts[1], base, read_only=_MODES[modes[0]])


def bind(source: str, target: str, base: Path, *, read_only: bool) -> Mount:
    """Return a mount with an absolute source and a checked target."""
    if not source:
        raise ValueError("the mount's source is empty")
    if not source.startswith(("/", ".", "~")):
        raise ValueError(
            f"'{source[:120]}' would be a named volume, and only directories of this machine"
            f" can be mounted: make one, and write ./{source[:120]}"
        )
    if not target.startswith("/"):
        raise ValueError(f"the mount's target '{target[:120]}' must be an absolute path")
    if os.path.normpath(target) in ("/", "//"):
        raise ValueError("nothing can be mounted over the container's /")
    machine = MOUNTED_ON.get()
    path = _source(source, base) if machine is None else _source_on(machine, source)
    return Mount(source=path, target=target, read_only=read_only)


def _source(source: str, base: Path) -> str:
    try:
        home = type(base)(source).expanduser()
    except RuntimeError as error:
        raise ValueError(f"'{source[:120]}': there is no such home directory") from error
    return os.path.abspath(base / home)  # noqa: PTH100 - keeps symlinks


def _source_on(machine: OtherMachine, source: str) -> str:
    first, _, rest = source.partition("/")
    if first == "~":
        return os.path.normpath(f"{machine.account()[1]}/{rest}")
    if first:
        raise ValueError(
            f"'{source[:120]}' would be relative to a directory of this machine, but mounts are"
            f" directories of {machine.name}: write an absolute path of that machine, or ~/..."
            " for your home there"
        )
    return os.path.normpath(source)


def check_targets(mounts: list[Mount]) -> None:
    """Refuse two mounts on one target."""
    seen: set[str] = set()
    for mount in mounts:
        if target_of(mount) in seen:
            raise ValueError(f"two mounts have the target {mount.target}")
        seen.add(target_of(mount))


def target_of(mount: Mount) -> str:
    """Return the target of a mount in its shortest form."""
    return os.path.normpath(mount.target)


def parse_home(text: str) -> str:
    """Return job or real."""
    if text not in HOMES:
        raise ValueError(f"'{text[:40]}' is not known: write {' or '.join(HOMES)}")
    return text


def real_home() -> Mount:
    """Return the mount of the caller's home directory; raises ``ValueError`` without one."""
    machine = MOUNTED_ON.get()
    if machine is not None:
        name, home = machine.account()
        return Mount(home, f"/home/{name}")
    import pwd

    try:
        entry = pwd.getpwuid(os.getuid())
    except KeyError:
        raise ValueError(f"uid {os.getuid()} has no home directory on this machine") from None
    return Mount(os.path.realpath(entry.pw_dir), f"/home/{entry.pw_name}")
