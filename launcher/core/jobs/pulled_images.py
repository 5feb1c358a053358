"""The images that the launcher pulled: who used them last, and which may be removed for space.

An image that was in Docker before the pull is not among them: it is its admins' to remove.
"""

from __future__ import annotations

from dataclasses import replace

from launcher.core.messages import events as ev
from launcher.core.messages.actions import Action
from launcher.core.model.job import ImageKey, Job
from launcher.core.model.own_image import PulledImage
from launcher.core.world.world import World

APART_SECONDS = 60.0
"""Uses of an image by the same user within this time are recorded once."""


def pulled(world: World, key: ImageKey, image_id: str, uid: int, now: ev.Now) -> None:
    """Record an image that a pull has brought."""
    user = world.user_name(uid)
    image = PulledImage(image_id, key.reference, uid, user, now.wall, now.wall, user)
    _put(world, image)


def used(world: World, job: Job, now: ev.Now) -> None:
    """Record that a job starts or ends with its image."""
    image = world.pulled_images.get(job.image_id or "")
    if image is None:
        return
    user = job.owner.name
    if user != image.used_by or now.wall - image.used_at >= APART_SECONDS:
        _put(world, replace(image, used_at=now.wall, used_by=user))


def _put(world: World, image: PulledImage) -> None:
    world.pulled_images[image.image_id] = world.changes.pulled_images[image.image_id] = image


def expired(world: World, event: ev.ImagesMeasured, now: ev.Now) -> list[PulledImage]:
    """Choose the least recently used images above the limit; none that an unfinished job needs.

    No job is given an image from then on, until its removal is reported.
    """
    sizes = event.sizes
    here = [image for image in world.pulled_images.values() if image.image_id in sizes]
    over = sum(sizes[image.image_id] for image in here) - event.most
    if over <= 0:
        return []
    pinned = {job.image_id for job in world.jobs.values()}
    wanted = {key.reference for key in world.images}
    chosen: list[PulledImage] = []
    for image in sorted(here, key=lambda image: image.used_at):
        if over <= 0:
            break
        if image.image_id not in pinned and image.reference not in wanted:
            chosen.append(image)
            over -= sizes[image.image_id]
    world.removing.update(image.image_id for image in chosen)
    return chosen


def removed(world: World, event: ev.ImageRemoved, now: ev.Now) -> list[Action]:
    """Forget an image that is gone, or has got another name meanwhile."""
    world.removing.discard(event.image_id)
    if event.gone:
        forget(world, event.image_id)
    return []


def forget(world: World, image_id: str) -> None:
    """Forget an image that is not here any more."""
    if world.pulled_images.pop(image_id, None) is not None:
        world.changes.pulled_images[image_id] = None
