"""Forgets the owners of images that are gone, and removes users' images that nobody uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from launcher.core.jobs import own_images
from launcher.core.messages import events as ev
from launcher.core.model.own_image import KeptImage
from launcher.core.world.world import World
from launcher.daemon.loop.threads import in_thread
from launcher.engine.images import Images
from launcher.errors import EngineError, EngineUnavailable


async def forget_gone(world: World, images: Images, post: Callable[[ev.Event], None]) -> None:
    """Forget the owners of images that are no longer here, so that records do not grow.

    The records are read first, so that images which arrive meanwhile are not missed.
    """
    recorded = world.public_images | world.private_images.keys()
    try:
        here = await in_thread("images", images.all) if recorded else {}
    except (EngineUnavailable, EngineError):
        return
    if gone := frozenset(recorded - here.keys()):
        post(ev.ImagesGone(gone))


@dataclass(slots=True)
class UnusedImages:
    """Removes users' images without a name: replaced ones, and those that no record came of.

    An image is removed when it is found a second time: it has its name in Docker before its record.
    """

    images: Images
    found: set[KeptImage] = field(default_factory=set)

    async def remove(self, world: Callable[[], World]) -> None:
        """Look for them once."""
        try:
            kept = await in_thread("images", self.images.kept)
            left = set(own_images.unused(world(), kept))
            for image in self.found & left:
                await in_thread("images", partial(self.images.release, image))
        except (EngineUnavailable, EngineError):
            return
        self.found = left
