"""Images that users loaded themselves: ``localhost/NAME[:TAG]``, a namespace of each user.

podman and buildah call images so that no registry has. ``localhost/USER/NAME`` is another user's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PREFIX = "localhost/"
_NAME = re.compile(
    r"(?:([a-z0-9_][a-z0-9_.-]{0,31})/)?([a-z0-9]+(?:[._-]{1,2}[a-z0-9]+)*)(?::(\w[\w.-]{0,127}))?",
    re.ASCII,
)
LONGEST = 100
TAGGED = "launcher-own"
"""The first part of the names that keep users' images in Docker; no job refers to them."""
_TAG = re.compile(rf"{TAGGED}/([a-z0-9]+)/(\d+):([0-9a-f]{{64}})", re.ASCII)


@dataclass(frozen=True, slots=True)
class OwnImage:
    """One image of one user. ``name`` has its tag; ``bytes`` is its unpacked size."""

    uid: int
    user: str
    name: str
    image_id: str
    bytes: int
    loaded_at: float

    @property
    def reference(self) -> str:
        """What its owner calls it."""
        return f"{PREFIX}{self.name}"


@dataclass(frozen=True, slots=True)
class PulledImage:
    """An image that the launcher pulled for ``user``; times are seconds since 1970."""

    image_id: str
    reference: str
    uid: int
    user: str
    pulled_at: float
    used_at: float
    used_by: str


@dataclass(frozen=True, slots=True)
class KeptImage:
    """An image that Docker keeps for a user; a user has each image once, under any names."""

    store: str
    uid: int
    image_id: str
    bytes: int = 0

    @property
    def repository(self) -> str:
        """The repository of its name in Docker."""
        return f"{TAGGED}/{self.store}/{self.uid}"

    @property
    def name(self) -> str:
        """Its name in Docker."""
        return f"{self.repository}:{self.image_id.removeprefix('sha256:')}"


def kept_image(name: str, size: int) -> KeptImage | None:
    """Return the image that a name in Docker keeps for a user, None if it keeps none.

    >>> kept_image(KeptImage("5e", 1000, f"sha256:{'a' * 64}").name, 5).uid
    1000
    >>> kept_image("busybox:1", 5) is None
    True
    """
    match = _TAG.fullmatch(name)
    return match and KeptImage(match[1], int(match[2]), f"sha256:{match[3]}", size)


def is_own(reference: str) -> bool:
    """Whether a reference names an image that a user loaded.

    >>> is_own("localhost/train"), is_own("localhost:5000/train"), is_own("train")
    (True, False, False)
    """
    return reference.startswith(PREFIX)


def parse(reference: str) -> tuple[str | None, str] | None:
    """Return (user, name with tag) of a reference for which ``is_own`` holds; None if not valid.

    >>> parse("localhost/train"), parse("localhost/alice/train:2"), parse("localhost/a/b/c")
    ((None, 'train:latest'), ('alice', 'train:2'), None)
    """
    match = _NAME.fullmatch(reference.removeprefix(PREFIX))
    if match is None or len(reference) > LONGEST:
        return None
    user, name, tag = match.groups()
    return user, f"{name}:{tag or 'latest'}"
