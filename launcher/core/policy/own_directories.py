"""The directories of a container that belong to its user, whatever the image has.

HOME, /tmp, the working directory, and the parents of mounts below HOME and /tmp. HOME and /tmp are
directories on disk; the working directory stays the image's with a new owner.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from launcher.core.policy.policy import PolicyInput, has_no_controls, normal

TMP = "/tmp"
CACHE = ".cache"
_CLOSED = re.compile(
    r"/(|(proc|sys|dev|run|etc|lib[^/]*|bin|sbin|boot|usr/(bin|sbin|lib[^/]*|local|share))(/.*)?"
    r"|usr|var|var/run(/.*)?|var/lib|opt|home|srv|mnt|media|tmp|var/tmp)",
    re.DOTALL,
)
"""Directories that many programs share, and those of programs: they keep their owner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnDirectories:
    """Paths in a container.

    ``home`` and ``cache``: where the job's HOME and its user's cache are mounted, None if nowhere.
    ``tmp``: /tmp on disk. ``parents`` are directories to create in them: ``home/.cache``,
    ``tmp/x``. ``working_dir`` replaces the image's; ``owned`` is a directory of the image that the
    user is to own.
    """

    home_path: str
    home: bool
    cache: bool
    tmp: bool
    parents: tuple[str, ...] = ()
    working_dir: str | None = None
    owned: str | None = None

    @property
    def cache_path(self) -> str:
        """The path of the user's cache."""
        return f"{self.home_path}/{CACHE}"


def home_path(request: PolicyInput) -> str:
    """Return the value of HOME: the job's own, or the user's name below /home."""
    return request.spec.environment.get("HOME") or f"/home/{request.person.owner.name}"


def own_directories(request: PolicyInput, image_working_dir: str | None) -> OwnDirectories | None:
    """Return the directories of a job's container; None for a job of root, which has its image's.

    ``image_working_dir`` is the image's WORKDIR.
    """
    if request.person.owner.uid == 0:
        return None
    spec, home = request.spec, home_path(request)
    targets = [normal(bind.target) for bind in spec.volumes]
    has_home = _is_mountable(home) and not _is_within(home, targets)
    has_tmp = spec.tmp == "disk" and not _is_within(TMP, targets)
    # A symlink in the cache, of an earlier job, could lead a mount below it elsewhere.
    has_cache = has_home and not any(_is_below(target, f"{home}/{CACHE}") for target in targets)
    working = spec.working_dir or image_working_dir or "/"
    replaced = None
    if spec.working_dir is None and normal(working) == "/":
        working = replaced = home if has_home or _is_within(home, targets) else TMP
    working = normal(working)
    places = {**({home: "home"} if has_home else {}), **({TMP: "tmp"} if has_tmp else {})}
    needed = [
        *map(posixpath.dirname, targets),
        *([f"{home}/{CACHE}"] if has_cache else ()),
        working,
    ]
    in_image = not _is_within(working, [*targets, *places, TMP])
    return OwnDirectories(
        home_path=home,
        home=has_home,
        cache=has_cache,
        tmp=has_tmp,
        parents=tuple(dict.fromkeys(_parents(places, needed, targets))),
        working_dir=replaced,
        owned=working if in_image and may_own(working) else None,
    )


def may_own(path: str) -> bool:
    """Whether a user may own this directory of a container."""
    return has_no_controls(path) and _CLOSED.fullmatch(path) is None


def _parents(
    places: dict[str, str], needed: Sequence[str], targets: Sequence[str]
) -> Iterator[str]:
    """Yield the directories to create in our places; none in a mount of the user's."""
    for path in needed:
        for place, name in places.items():
            if _is_below(path, place) and path != place and not _is_within(path, targets):
                yield f"{name}/{path.removeprefix(f'{place}/')}"


def _is_mountable(home: str) -> bool:
    """Only a plain path below /home: `/home/../etc` would hide the image's files."""
    plain = home.startswith("/home/") and posixpath.normpath(home) == home
    return plain and has_no_controls(home)


def _is_below(path: str, directory: str) -> bool:
    return f"{path}/".startswith(f"{directory.rstrip('/')}/")


def _is_within(path: str, targets: Sequence[str]) -> bool:
    return any(_is_below(path, target) for target in targets)
