"""Users' registry credentials: in memory only, from the submit until the pull."""

from __future__ import annotations

from collections.abc import Mapping

from launcher.core.job import ImageKey
from launcher.imageref import registry_of
from launcher.wire import RegistryAuth


class Credentials:
    """What each user gave for each registry; never written anywhere, never shown."""

    def __init__(self) -> None:
        self._by_user: dict[tuple[int, str], dict[str, str]] = {}

    def keep(self, uid: int, given: Mapping[str, RegistryAuth]) -> None:
        """Keep what came with a submit; newer ones replace older ones."""
        for registry, auth in given.items():
            fields = {
                "username": auth.username,
                "password": auth.password,
                "identitytoken": auth.identitytoken,
            }
            self._by_user[(uid, registry)] = {k: v for k, v in fields.items() if v}

    def owner(self, uid: int, reference: str) -> int | None:
        """Return ``uid`` if this user has credentials for the image's registry, else None."""
        return uid if (uid, registry_of(reference)) in self._by_user else None

    def of(self, key: ImageKey) -> dict[str, str] | None:
        """Return what to pull this image with, None for an open pull."""
        if key.credentials_uid is None:
            return None
        return self._by_user.get((key.credentials_uid, registry_of(key.reference)))
