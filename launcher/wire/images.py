"""Images, and whose they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from launcher.spec.bounds import STRICT


@dataclass(frozen=True, kw_only=True)
class PublishRequest:
    """Make images everybody's: those named; None: all of which it is not known whose they are."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    images: list[str] | None = None


@dataclass(frozen=True, kw_only=True)
class RemoveImageRequest:
    """Remove an image that was loaded: ``localhost/NAME[:TAG]``."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    image: str


@dataclass(frozen=True, kw_only=True)
class OwnImageView:
    """An image that a user loaded; others call it ``localhost/USER/NAME``."""

    name: str
    user: str
    id: str
    bytes: int
    loaded_at: str
    public: bool


@dataclass(frozen=True, kw_only=True)
class ImageView:
    """An image of this machine; ``name`` is a tag of it, or its id."""

    id: str
    name: str


@dataclass(frozen=True, kw_only=True)
class LocalImageView:
    """An image that Docker has, as its users see it.

    ``names`` are its tags, ``bytes`` its size with layers that others share. ``access`` is public,
    private or admins. ``pulled_by`` is the user for whom the launcher pulled it. If it did not, it
    is None, and its use is not recorded. What concerns others is None, but for admins. ``jobs``
    unfinished jobs of the caller need it, for an admin of all.
    """

    id: str
    names: list[str]
    bytes: int
    access: str
    pulled_by: str | None
    pulled_at: str | None
    used_by: str | None
    used_at: str | None
    jobs: int
