"""Forgets the owners of images that are no longer on this machine."""

from __future__ import annotations

from collections.abc import Callable

from launcher.core.messages import events as ev
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
