"""The image part of the client: images that users loaded."""

from __future__ import annotations

from collections.abc import Iterable

from launcher import wire
from launcher.client.decode import decode, decode_list
from launcher.client.http import Transport, query

LOAD_SECONDS = 3700.0
"""Docker unpacks an archive before it replies."""


class Image:
    """A user's own images."""

    def __init__(self, transport: Transport, timeout: float) -> None:
        self._transport, self._timeout = transport, timeout

    def load(self, name: str, archive: Iterable[bytes]) -> wire.OwnImageView:
        """Load an image of the caller's from the pieces of an archive (`docker save`)."""
        path = f"/v1/images/load?{query([('name', name)])}"
        return decode(
            wire.OwnImageView, self._transport.upload(path, archive, timeout=LOAD_SECONDS)
        )

    def all(self) -> list[wire.OwnImageView]:
        """Return the images that the caller loaded; for an admin those of all users."""
        reply = self._transport.json("GET", "/v1/images/own", timeout=self._timeout)
        return decode_list(wire.OwnImageView, reply)

    def local(self) -> list[wire.LocalImageView]:
        """Return the images pulled for or loaded by the caller, the largest first.

        For an admin all images of the machine.
        """
        reply = self._transport.json("GET", "/v1/images", timeout=self._timeout)
        return decode_list(wire.LocalImageView, reply)

    def remove(self, image: str) -> wire.OwnImageView:
        """Remove an image that the caller loaded: ``localhost/NAME[:TAG]``."""
        body = {"image": image}
        reply = self._transport.json("POST", "/v1/images/remove", body, timeout=self._timeout)
        return decode(wire.OwnImageView, reply)
