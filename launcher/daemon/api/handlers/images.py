"""The images of this machine; an admin can publish those whose owner is unknown."""

from __future__ import annotations

from collections import Counter

from launcher import wire
from launcher.core.jobs import own_images
from launcher.core.messages import events as ev
from launcher.core.model.own_image import is_own, kept_image
from launcher.core.world.world import World
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.loop import audit_log, clock
from launcher.daemon.users.identity import Caller
from launcher.engine.images import LocalImage
from launcher.errors import UserError

PUBLIC, PRIVATE, ADMINS = "public", "private", "admins"
SHOWN = 10
"""The audit log names at most this many of the images that one request published."""


async def local(context: Context, caller: Caller) -> list[wire.LocalImageView]:
    """Return the images that were pulled for or loaded by the caller, the largest first.

    For an admin all images: which ones other users run is not for everybody.
    """
    found = await context.users.run(caller.uid, context.images.local)
    world = context.world
    needed = Counter(
        job.image_id for job in world.jobs.values() if caller.admin or job.owner.uid == caller.uid
    )
    views = [
        _local_view(world, image, caller, needed[image.id])
        for image in found
        if caller.admin or _is_theirs(world, image.id, caller)
    ]
    return sorted(views, key=lambda view: -view.bytes)


def _is_theirs(world: World, image_id: str, caller: Caller) -> bool:
    pulled = world.pulled_images.get(image_id)
    users = (pulled.user, pulled.used_by) if pulled else ()
    return (
        caller.uid in world.private_images.get(image_id, ())
        or caller.owner.name in users
        or any(own.image_id == image_id for own in own_images.of_user(world, caller.uid))
    )


def _local_view(world: World, image: LocalImage, caller: Caller, jobs: int) -> wire.LocalImageView:
    pulled = world.pulled_images.get(image.id)
    own = [i for i in world.own_images.values() if i.image_id == image.id]
    names = [tag for tag in image.tags if kept_image(tag, 0) is None]
    names += [i.reference for i in own if caller.admin or i.uid == caller.uid]
    private = PRIVATE if image.id in world.private_images else ADMINS
    by = pulled.user if pulled and _shown(caller, pulled.user) else None
    user = pulled.used_by if pulled and _shown(caller, pulled.used_by) else None
    return wire.LocalImageView(
        id=image.id,
        names=names,
        bytes=image.bytes,
        access=PUBLIC if image.id in world.public_images else private,
        pulled_by=by,
        pulled_at=clock.rfc3339(pulled.pulled_at) if pulled and by else None,
        used_by=user,
        used_at=clock.rfc3339(pulled.used_at) if pulled and user else None,
        jobs=jobs,
    )


def _shown(caller: Caller, user: str) -> bool:
    """Whether the caller may know that a user has an image."""
    return caller.admin or user == caller.owner.name


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
