"""Users' own images: their names, and which one a reference means to whom."""

from __future__ import annotations

from collections.abc import Iterable

from launcher.core.jobs.images import make_private
from launcher.core.messages import events as ev
from launcher.core.messages.actions import Action
from launcher.core.model.own_image import KeptImage, OwnImage, parse
from launcher.core.policy.settings import Quota
from launcher.core.world.world import World

ORDINARY_BYTES = 64 * 2**30
"""Default limit of an ordinary user's images."""
MOST_IMAGES = 200
"""Of one user."""


def resolve(world: World, reference: str, uid: int | None) -> OwnImage | None:
    """Return the image that a reference means to a user, None if there is none.

    Another user's is found once it is public; every image for ``uid`` None (an admin).
    """
    parsed = parse(reference)
    if parsed is None:
        return None
    user, name = parsed
    if user is None:
        return None if uid is None else world.own_images.get((uid, name))
    images = [i for i in world.own_images.values() if (i.user, i.name) == (user, name)]
    # A name may have been another uid's before: the caller's own image comes first.
    may = [i for i in images if uid in (None, i.uid) or i.image_id in world.public_images]
    return max(may, key=lambda image: (image.uid == uid, image.loaded_at), default=None)


def of_user(world: World, uid: int) -> list[OwnImage]:
    """Return a user's images by name."""
    return sorted((i for i in world.own_images.values() if i.uid == uid), key=lambda i: i.name)


def replaced(world: World, uid: int, kept: Iterable[KeptImage]) -> list[KeptImage]:
    """Return the images of a user that have no name any more; jobs still use them."""
    named = {image.image_id for image in of_user(world, uid)}
    return [k for k in kept if (k.store, k.uid) == (world.store, uid) and k.image_id not in named]


def unused(world: World, kept: Iterable[KeptImage]) -> list[KeptImage]:
    """Return the images of this daemon's users that have no name and that no job is pinned to."""
    named = {(image.uid, image.image_id) for image in world.own_images.values()}
    left = [k for k in kept if k.store == world.store and (k.uid, k.image_id) not in named]
    pinned = {job.image_id for job in world.jobs.values()} if left else set()
    return [k for k in left if k.image_id not in pinned]


def room(
    world: World, uid: int, quota: Quota, *, admin: bool, name: str, others: Iterable[KeptImage]
) -> int:
    """Return the bytes that a new image of a user may have; it replaces that of the same name.

    ``others``: those without a name.
    """
    most = quota.image_bytes
    if most is None:
        most = 2**63 - 1 if admin else ORDINARY_BYTES
    most -= sum(image.bytes for image in others)
    return most - sum(image.bytes for image in of_user(world, uid) if image.name != name)


def loaded(world: World, event: ev.OwnImageLoaded, now: ev.Now) -> list[Action]:
    """Record an image under its name, for its user alone."""
    image = event.image
    world.own_images[image.uid, image.name] = image
    world.changes.own_images[image.uid, image.name] = image
    make_private(world, image.image_id, {image.uid})
    return []


def removed(world: World, event: ev.OwnImageRemoved, now: ev.Now) -> list[Action]:
    """Forget a name."""
    if world.own_images.pop((event.uid, event.name), None) is not None:
        world.changes.own_images[event.uid, event.name] = None
    return []
