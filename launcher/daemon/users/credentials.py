"""Users' registry credentials: in memory only, from the submit until the pull."""

from __future__ import annotations

from collections.abc import Container, Mapping

from launcher.core.model.job import ImageKey
from launcher.core.model.own_image import is_own
from launcher.imageref import registry_of
from launcher.wire import RegistryAuth

MOST_REGISTRIES = 32
"""Per user; each has at most 128 KiB by the limits of the request."""


class Credentials:
    """Each user's credentials by registry; never stored on disk, never shown."""

    def __init__(self) -> None:
        self._by_user: dict[tuple[int, str], dict[str, str]] = {}

    def store(self, uid: int, by_registry: Mapping[str, RegistryAuth]) -> None:
        """Store the credentials of a submit; newer ones replace older ones.

        Only those of each user's last ``MOST_REGISTRIES`` registries are stored.
        """
        for registry, auth in by_registry.items():
            self._by_user.pop((uid, registry), None)
            fields = {
                "username": auth.username,
                "password": auth.password,
                "identitytoken": auth.identitytoken,
            }
            self._by_user[(uid, registry)] = {k: v for k, v in fields.items() if v}
        registries = [key for key in self._by_user if key[0] == uid]
        for oldest in registries[: max(0, len(registries) - MOST_REGISTRIES)]:
            del self._by_user[oldest]

    def owner(self, uid: int, reference: str, given: Container[str] = ()) -> int | None:
        """Return ``uid`` if this user has, or now gives, credentials for the image's registry.

        Also for an image that users loaded: its name means another image to each of them.
        """
        registry = registry_of(reference)
        return (
            uid
            if is_own(reference) or registry in given or (uid, registry) in self._by_user
            else None
        )

    def of(self, key: ImageKey) -> dict[str, str] | None:
        """Return the credentials for pulling this image, None for an anonymous pull."""
        if key.credentials_uid is None:
            return None
        return self._by_user.get((key.credentials_uid, registry_of(key.reference)))
