"""Images of this machine whose owner is unknown; an admin can publish them to all users."""

from __future__ import annotations

from launcher import wire
from launcher.core.jobs import own_images
from launcher.core.messages import events as ev
from launcher.core.model.own_image import is_own
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.loop import audit_log
from launcher.daemon.users.identity import Caller
from launcher.errors import UserError

SHOWN = 10
"""The audit log names at most this many of the images that one request published."""


async def undecided(context: Context, uid: int) -> list[wire.ImageView]:
    """Return the images whose owner is unknown: only admins may run them.

    They were created or pulled outside the launcher, or by an earlier one. An image that a pull
    with credentials has just fetched is left out: its owner is about to be recorded.
    Raises as ``Images.all`` does.
    """
    images = await context.users.run(uid, context.images.all)
    pulls = {reference for reference, _ in context.world.pulls}
    pulled = [await context.users.run(uid, context.images.find, name) for name in sorted(pulls)]
    world = context.world
    owned = world.public_images | world.private_images.keys() | set(pulled)
    return [wire.ImageView(id=id_, name=name) for id_, name in images.items() if id_ not in owned]


async def publish(
    context: Context, caller: Caller, request: wire.PublishRequest
) -> list[wire.ImageView]:
    """Publish images; returns them. All are found, or none is published."""
    uid = caller.uid
    if request.images is None:
        images = await undecided(context, uid)
    else:
        images = [await _named(context, uid, name) for name in request.images]
    shown = [view.name for view in images[:SHOWN]]
    more = f" and {len(images) - SHOWN} more" if len(images) > SHOWN else ""
    audit_log.about(detail=f"publish {', '.join(shown)}{more}")
    await context.event_loop.request(ev.ImagesPublished(frozenset(view.id for view in images)))
    return images


async def _named(context: Context, uid: int, name: str) -> wire.ImageView:
    if is_own(name):
        own = own_images.resolve(context.world, name, None)
        if own is None:
            raise UserError(f"no user has loaded {name}", fix="Name it localhost/USER/NAME[:TAG].")
        return wire.ImageView(id=own.image_id, name=name)
    image_id = await context.users.run(uid, context.images.find, name)
    if image_id is None:
        raise UserError(
            f"the image {name} is not on this machine",
            fix="`docker images` lists the local images.",
        )
    return wire.ImageView(id=image_id, name=name)
