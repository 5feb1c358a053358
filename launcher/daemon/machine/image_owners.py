"""Forgets the owners of images that are gone; removes users' images that nobody uses, and pulled
ones for space."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from launcher.core.jobs import own_images
from launcher.core.messages import events as ev
from launcher.core.model.own_image import KeptImage
from launcher.core.world.world import World
from launcher.daemon.loop.event_loop import EventLoop
from launcher.daemon.loop.threads import in_thread
from launcher.engine.images import Images
from launcher.errors import EngineError, EngineUnavailable

log = logging.getLogger(__name__)


async def forget_gone(world: World, images: Images, post: Callable[[ev.Event], None]) -> None:
    """Forget the owners of images that are no longer here, so that records do not grow.

    The records are read first, so that images which arrive meanwhile are not missed.
    """
    recorded = world.public_images | world.private_images.keys() | world.pulled_images.keys()
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


async def keep_space(event_loop: EventLoop, images: Images, most: int) -> None:
    """Remove the least recently used images that the launcher pulled, above ``most`` bytes.

    Layers that several images share count for each of them.
    """
    try:
        sizes = {image.id: image.bytes for image in await in_thread("images", images.local)}
    except (EngineUnavailable, EngineError):
        return
    for image in await event_loop.request(ev.ImagesMeasured(sizes, most)):
        gone = False
        try:
            gone = await in_thread(
                "images", partial(images.remove, image.image_id, image.reference)
            )
            if gone:
                log.info("removed the image %s, not used since a while", image.reference)
        except (EngineUnavailable, EngineError) as error:
            log.warning("cannot remove the image %s: %s", image.reference, error.message)
        finally:
            event_loop.post(ev.ImageRemoved(image.image_id, gone))
