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
