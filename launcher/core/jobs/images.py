"""Images while jobs wait: found or pulled once for all waiting jobs, then pinned to each of them.

A job enters the queue only with its image pinned, so no slice is held during a pull.

Images are open to all users if a registry provided them without credentials or an admin published
them, to users for whose credentials a registry provided them, otherwise to admins only. Only a
successful pull proves this, because wrong credentials can start one. A pull is recorded before its
image can arrive, so that no admin unknowingly publishes the image of an interrupted pull.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Set

from launcher.core.jobs import pulled_images
from launcher.core.messages import events as ev
from launcher.core.messages.actions import Action, FindImage, PullImage, SettlePull
from launcher.core.model.job import ImageKey, Job, Outcome, Reason, State, short_id
from launcher.core.model.own_image import is_own
from launcher.core.model.slice_state import Having, ImageState
from launcher.core.world.transitions import finish, move
from launcher.core.world.world import World
from launcher.imageref import registry_of

PULLS_AT_ONCE = 2
MOST_PULLS = 16
"""Includes pulls that start because their user has none running."""
PULLS_BEFORE_HOLD = 3
PULL_AGAIN_SECONDS = 10.0
"""Delay before the next try if a pull did not reach the registry; doubled each time."""
ROOT = 0
NOT_THEIRS = (
    "It is on this machine, for admins only: an admin can publish it with `launch image publish {}`"
)


def want(world: World, job: Job) -> list[Action]:
    """Make the job wait until its image is found or pulled; one action serves all waiting jobs."""
    state = world.images.get(job.image)
    if state is not None:
        state.waiting[job.id] = None
        return []
    world.images[job.image] = ImageState(Having.FINDING, job.owner.uid, {job.id: None})
    if job.image.policy != "always" or is_own(job.image.reference):
        return [FindImage(job.image)]
    _to_pull(world, job.image)
    return start_pulls(world)


def enqueue(world: World, job: Job) -> None:
    """Put a job with a local image into the queue; an array element when its turn comes."""
    if job.element is None or world.arrays[job.element.array].take(job):
        world.enqueue(job)


def is_open(job: Job, now: ev.Now) -> bool:
    """Whether the job has no individual reason to wait: a hold, a start time, another job."""
    return job.held is None and not job.waits_for and (job.begin or 0.0) <= now.wall


def start_pulls(world: World) -> list[Action]:
    """Start pulls, two at a time and one for each user who has none.

    So no user waits for another's slow pulls. Users are served in turn, each user's images in the
    order of the jobs that wait for them.
    """
    world.pulling = {key for key in world.pulling if key in world.images}
    actions: list[Action] = []
    while len(world.pulling) < MOST_PULLS and (key := _next_pull(world)) is not None:
        state = world.images[key]
        state.having = Having.PULLING
        world.pulling.add(key)
        world.pulls_started += 1
        world.pulled[state.uid] = world.pulls_started
        _open_pull(world, key)
        actions.append(PullImage(key))
    return actions


def _next_pull(world: World) -> ImageKey | None:
    """Return the image to pull next, None if no pull may start."""
    busy = Counter(world.images[key].uid for key in world.pulling)
    more = len(world.pulling) < PULLS_AT_ONCE
    best = {uid: key for uid in list(world.wanted) if (key := _first_wanted(world, uid))}
    world.pulled = {uid: turn for uid, turn in world.pulled.items() if uid in best or busy[uid]}
    may = [uid for uid in best if more or not busy[uid]]

    def place(uid: int) -> tuple[int, int, tuple[int, int]]:
        return busy[uid], world.pulled.get(uid, 0), world.wanted[uid][0][0]

    return best[min(may, key=place)] if may else None


def _first_wanted(world: World, uid: int) -> ImageKey | None:
    """Return the image that a user waits for first; images no longer needed are dropped."""
    heap = world.wanted[uid]
    while heap:
        key = heap[0][1]
        state = world.images.get(key)
        if state is not None and state.having is Having.WANTED and state.waiting:
            return key
        heapq.heappop(heap)
    del world.wanted[uid]
    return None


def _to_pull(world: World, key: ImageKey) -> None:
    """Queue an image for its pull, at the place of its first job."""
    state = world.images[key]
    state.having = Having.WANTED
    first = world.jobs[next(iter(state.waiting))]
    heapq.heappush(world.wanted.setdefault(state.uid, []), (first.order, key))


def forget_waiter(world: World, job: Job) -> None:
    """Remove a cancelled job from the waiting ones; without any left the pull is not started."""
    state = world.images.get(job.image)
    if state is None:
        return
    state.waiting.pop(job.id, None)
    if not state.waiting and state.having in (Having.WANTED, Having.LOGIN):
        del world.images[job.image]


def resolved(world: World, event: ev.ImageResolved, now: ev.Now) -> list[Action]:
    """Pin the image for all waiting jobs that may run it.

    For the others it counts as missing: a registry must provide it. A job pinned to another image
    cannot run.
    """
    state = world.images.get(event.image)
    if event.pulled:
        _given(world, event.image, event.image_id)
        if state is not None and (event.new or event.image_id in world.pulled_images):
            pulled_images.pulled(world, event.image, event.image_id, state.uid, now)
    for job_id in list(state.waiting) if state else ():
        job = world.jobs[job_id]
        if event.pulled or _may_run(world, job, event):
            del state.waiting[job_id]  # type: ignore[union-attr]
            _pin(world, job, event, now)
    if state is not None and state.waiting:
        state.here = event.image_id not in world.private_images  # private images stay hidden
        return missing(world, ev.ImageMissing(event.image), now)
    world.images.pop(event.image, None)
    return start_pulls(world)


def _pin(world: World, job: Job, event: ev.ImageResolved, now: ev.Now) -> None:
    if job.image_id not in (None, event.image_id):
        message = (
            f"image {event.image.reference} is no longer the one that this job was queued with "
            f"(now {event.image_id}, then {job.image_id})"
        )
        finish(world, job, ev.ImageResolved, Outcome.FAILED, now, Reason.IMAGE_GONE, message)
        return
    job.image_id = event.image_id
    world.note(job, now.wall, "image", f"{event.image.reference} is {short_id(event.image_id)}")
    job.pulls_failed = 0
    if is_open(job, now):
        enqueue(world, job)


def _may_run(world: World, job: Job, event: ev.ImageResolved) -> bool:
    """Whether the job's owner may run a local image.

    The owner of an image that the launcher did not pull is unknown: only admins may run it.
    """
    if event.image_id in world.removing:
        return False
    if event.image_id in world.public_images:
        return True
    owners = world.private_images.get(event.image_id, event.admins)
    return job.owner.uid in owners


def _given(world: World, key: ImageKey, image_id: str) -> None:
    """Record for whom a registry provided an image; without credentials all users may run it."""
    if key.credentials_uid is None:
        _make_public(world, image_id)
        return
    make_private(world, image_id, {key.credentials_uid})
    _end_pull(world, key)


def _make_public(world: World, image_id: str) -> None:
    if image_id not in world.public_images:
        world.public_images.add(image_id)
        world.changes.public_images[image_id] = True
    if world.private_images.pop(image_id, None):
        world.changes.private_images[image_id] = frozenset()


def make_private(world: World, image_id: str, uids: Set[int]) -> None:
    """Allow these users to run an image too; a public image stays public."""
    before = world.private_images.get(image_id, frozenset())
    if image_id not in world.public_images and not uids <= before:
        world.private_images[image_id] = before | uids
        world.changes.private_images[image_id] = before | uids


def _open_pull(world: World, key: ImageKey) -> None:
    """Record the user of a pull: committed before the pull starts."""
    if key.credentials_uid is not None:
        world.pulls.add((key.reference, key.credentials_uid))
        world.changes.pulls[key.reference, key.credentials_uid] = True


def _close_pull(world: World, reference: str, uid: int) -> None:
    if (reference, uid) in world.pulls:
        world.pulls.discard((reference, uid))
        world.changes.pulls[reference, uid] = False


def _end_pull(world: World, key: ImageKey) -> None:
    """Close the record of a pull, unless its user pulls the same name under another policy."""
    if key.credentials_uid is not None and not _pulls(
        world, key.reference, key.credentials_uid, key
    ):
        _close_pull(world, key.reference, key.credentials_uid)


def _pulls(world: World, reference: str, uid: int, but: ImageKey | None = None) -> bool:
    return any(
        key != but and (key.reference, key.credentials_uid) == (reference, uid)
        for key in world.pulling
    )


def unsettled(world: World) -> list[Action]:
    """Return the checks of what interrupted pulls of an earlier daemon left."""
    return [SettlePull(reference, uid) for reference, uid in sorted(world.pulls)]


def settled(world: World, event: ev.PullSettled, now: ev.Now) -> list[Action]:
    """Close a pull without a recorded end; an image that it left belongs to root.

    Its user gets the image by another pull, because the success of this one is unknown.
    """
    image_id, is_open = event.image_id, (event.reference, event.uid) in world.pulls
    if is_open and image_id is not None and image_id not in world.private_images:
        make_private(world, image_id, {ROOT})
    if not _pulls(world, event.reference, event.uid):
        _close_pull(world, event.reference, event.uid)
    return []


def published(world: World, event: ev.ImagesPublished, now: ev.Now) -> list[Action]:
    """Publish images to all users."""
    for image_id in sorted(event.image_ids):
        _make_public(world, image_id)
    return []


def forget(world: World, event: ev.ImagesGone, now: ev.Now) -> list[Action]:
    """Forget the owners of images that are gone: they can only return by a pull."""
    for key, own in list(world.own_images.items()):
        if own.image_id in event.image_ids:
            del world.own_images[key]
            world.changes.own_images[key] = None
    for image_id in sorted(event.image_ids):
        pulled_images.forget(world, image_id)
        if image_id in world.public_images:
            world.public_images.discard(image_id)
            world.changes.public_images[image_id] = False
        if world.private_images.pop(image_id, None):
            world.changes.private_images[image_id] = frozenset()
    return []


def missing(world: World, event: ev.ImageMissing, now: ev.Now) -> list[Action]:
    """Queue a pull, or fail the waiting jobs that forbid pulling."""
    if event.image.policy == "never":
        text = f"image {event.image.reference} is not on this machine, and pull_policy is never"
        return failed(world, ev.ImageFailed(event.image, text), now)
    state = world.images.get(event.image)
    if state is not None and not state.waiting:
        del world.images[event.image]
    elif state is not None:
        _to_pull(world, event.image)
    return start_pulls(world)


def failed(world: World, event: ev.ImageFailed, now: ev.Now) -> list[Action]:
    """End every waiting job with the registry's message.

    If the registry could not be reached they wait and retry; after three times they are held.
    """
    state = world.images.pop(event.image, None)
    world.pulling.discard(event.image)
    _end_pull(world, event.image)
    message = event.message
    if state is not None and state.here:
        message = f"{message}. {NOT_THEIRS.format(event.image.reference)}"
    for job_id in state.waiting if state else ():
        job = world.jobs[job_id]
        if event.transient:
            _later(world, job, event, now)
        else:
            reason = Reason.IMAGE_PULL_FAILED
            finish(world, job, ev.ImageFailed, Outcome.FAILED, now, reason, message)
    return start_pulls(world)


def without_credentials(world: World, event: ev.CredentialsMissing, now: ev.Now) -> list[Action]:
    """Hold the jobs that wait for the image for their owner: credentials are only in memory."""
    state = world.images.get(event.image)
    if state is not None and state.having is Having.PULLING:
        state.having = Having.LOGIN
    world.pulling.discard(event.image)
    _end_pull(world, event.image)
    return start_pulls(world)


def with_credentials(world: World, event: ev.CredentialsGiven, now: ev.Now) -> list[Action]:
    """Pull the images that waited for these credentials."""
    for key, state in world.images.items():
        mine = key.credentials_uid == event.uid and registry_of(key.reference) in event.registries
        if state.having is Having.LOGIN and mine:
            _to_pull(world, key)
    return start_pulls(world)


def _later(world: World, job: Job, event: ev.ImageFailed, now: ev.Now) -> None:
    move(world, job, ev.ImageFailed, State.PENDING, now, event.message)
    job.pulls_failed += 1
    job.message = event.message
    world.deactivate(job)
    if job.pulls_failed >= PULLS_BEFORE_HOLD:
        job.held = Reason.IMAGE_PULL_FAILED
        return
    job.begin = now.wall + PULL_AGAIN_SECONDS * 2.0 ** (job.pulls_failed - 1)
    heapq.heappush(world.begins, (job.begin, job.id))
