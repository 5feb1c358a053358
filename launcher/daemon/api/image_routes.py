"""The routes for users' own images: loading them by a process of their own, listing, removing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from typing import Any

from aiohttp import web

from launcher import wire
from launcher.core.jobs import own_images
from launcher.core.messages import events as ev
from launcher.core.model.job import Owner
from launcher.core.model.own_image import PREFIX, KeptImage, OwnImage, parse
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.api.query_params import text
from launcher.daemon.api.route import Access, get, post
from launcher.daemon.loop import audit_log, clock
from launcher.daemon.users.identity import Caller
from launcher.errors import (
    EngineError,
    EngineUnavailable,
    InternalError,
    NotAllowed,
    TooSlow,
    UserError,
    from_wire,
)  # fmt: skip

NAME = text("name", "The image's name: train, train:2.")
PIECE_BYTES = 1 << 18
LOAD_SECONDS = 3600.0
"""The longest time that Docker takes to unpack an archive."""
MOST_REPLY = 64 * 1024


async def load(context: Context, caller: Caller, request: web.Request) -> wire.OwnImageView:
    """Load the archive in the body of the request; the caller's image of the same name is replaced.

    Raises ``ArchiveRefused`` for what cannot be loaded, ``LoadFailed`` if Docker refuses it.
    """
    name = _name(NAME.read(request.query, "name") or "")
    owner = caller.owner
    audit_log.about(detail=f"load {PREFIX}{name}")
    process = await _loader(context, owner.uid, await _room(context, caller, name))
    try:
        await _pass_on(request, process, context.limiter.limits.body_time)
    except BaseException:
        await _kill(process)
        raise
    # Docker may keep the image from here on: it is recorded, even if nobody waits for the reply.
    task = asyncio.create_task(_finish(context, owner, name, process))
    context.loads[owner.uid] = task
    task.add_done_callback(lambda done: _finished(context, owner.uid, done))
    return await asyncio.shield(task)


async def _room(context: Context, caller: Caller, name: str) -> int:
    """Return the bytes that the image may have; raises ``NotAllowed`` if there is no room."""
    owner, users = caller.owner, context.users
    if owner.uid in context.loads:
        raise NotAllowed("an image of yours is still being unpacked", fix="Try again later.")
    kept = own_images.replaced(
        context.world, owner.uid, await users.run(owner.uid, context.images.kept)
    )
    unused = own_images.unused(context.world, kept)
    for image in unused:
        await users.run(owner.uid, context.images.release, image)
    world, others = context.world, [image for image in kept if image not in unused]
    quota = world.rules.quota_of(owner.name)
    room = own_images.room(world, owner.uid, quota, admin=caller.admin, name=name, others=others)
    number = len(own_images.of_user(world, owner.uid)) + len(others)
    if room <= 0 or number >= own_images.MOST_IMAGES:
        still = f", {len(others)} of them replaced but used by jobs" if others else ""
        raise NotAllowed(
            f"{owner.name} has {number} images{still}, and no room for more (quota image_bytes, "
            f"and {own_images.MOST_IMAGES} at most)",
            fix="`launch image ls` lists yours, `launch image rm` removes one.",
        )
    return room


async def _finish(
    context: Context, owner: Owner, name: str, process: asyncio.subprocess.Process
) -> wire.OwnImageView:
    """Wait until Docker has the image, record it, and remove the one that it replaces."""
    result = await _result(process)
    now = clock.now().wall
    image = OwnImage(owner.uid, owner.name, name, result["image_id"], result["bytes"], now)
    before = context.world.own_images.get((owner.uid, name))
    await context.event_loop.request(ev.OwnImageLoaded(image))
    if before is not None:
        await _release(context, before)
    return _view(context, image)


def _finished(context: Context, uid: int, task: asyncio.Task[Any]) -> None:
    if context.loads.get(uid) is task:
        del context.loads[uid]
    if not task.cancelled():
        task.exception()  # retrieved, because the client may have left


async def _release(context: Context, image: OwnImage) -> None:
    """Have Docker remove an image, unless it has another name or a job needs it."""
    kept = KeptImage(context.world.store, image.uid, image.image_id)
    for unused in own_images.unused(context.world, [kept]):
        with contextlib.suppress(EngineError, EngineUnavailable):  # later then
            await context.users.run(image.uid, context.images.release, unused)


async def listed(context: Context, caller: Caller) -> list[wire.OwnImageView]:
    """Return the caller's images; for an admin those of all users."""
    world = context.world
    images = (
        list(world.own_images.values()) if caller.admin else own_images.of_user(world, caller.uid)
    )
    return [_view(context, image) for image in images]


async def remove(
    context: Context, caller: Caller, body: wire.RemoveImageRequest
) -> wire.OwnImageView:
    """Remove an image of the caller's, or as an admin that of another user."""
    parsed = parse(body.image)
    admins = caller.admin and parsed is not None and parsed[0] is not None
    image = own_images.resolve(context.world, body.image, None if admins else caller.uid)
    if image is None or (image.uid != caller.uid and not caller.admin):
        raise UserError(
            f"there is no image {body.image} of yours", fix="`launch image ls` lists them."
        )
    audit_log.about(detail=f"remove {image.reference} of {image.user}")
    await context.event_loop.request(ev.OwnImageRemoved(image.uid, image.name))
    await _release(context, image)
    return _view(context, image)


def _name(name: str) -> str:
    parsed = parse(f"{PREFIX}{name.removeprefix(PREFIX)}")
    if parsed is None or parsed[0] is not None:
        raise UserError(
            f"name: {name[:120]!r} is not a name such as train or train:2",
            fix="Use lower-case letters, digits, '.', '_' and '-'.",
        )
    return parsed[1]


def _view(context: Context, image: OwnImage) -> wire.OwnImageView:
    return wire.OwnImageView(
        name=image.reference,
        user=image.user,
        id=image.image_id,
        bytes=image.bytes,
        loaded_at=clock.rfc3339(image.loaded_at),
        public=image.image_id in context.world.public_images,
    )


async def _loader(context: Context, uid: int, most: int) -> asyncio.subprocess.Process:
    """Start the process that loads one image of at most this size."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "launcher.image_loader",
        "--docker", context.config.docker_host, "--most", str(most),
        "--store", context.world.store, "--uid", str(uid),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def _result(process: asyncio.subprocess.Process) -> dict[str, Any]:
    """Return what the loading process reports; raises its error."""
    assert process.stdout is not None
    try:
        async with asyncio.timeout(LOAD_SECONDS):
            reply = await process.stdout.read(MOST_REPLY)
            await process.wait()
    finally:
        await _kill(process)
    try:
        result: dict[str, Any] = json.loads(reply)
    except ValueError:
        raise InternalError("the process that loads images failed; see the daemon's log") from None
    if (error := result.get("error")) is not None:
        raise from_wire(error["kind"], error["message"], error["fix"])
    return result


async def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


async def _pass_on(
    request: web.Request, process: asyncio.subprocess.Process, seconds: float
) -> None:
    """Pass the whole body on, or less if the process has refused it."""
    to = process.stdin
    assert to is not None
    while piece := await _piece(request, seconds):
        try:
            to.write(piece)
            await to.drain()
        except (BrokenPipeError, ConnectionResetError):
            break
    to.close()


async def _piece(request: web.Request, seconds: float) -> bytes:
    try:
        async with asyncio.timeout(seconds):
            return await request.content.readany()
    except TimeoutError:
        raise TooSlow(f"no more of the archive came within {seconds:g} s") from None


ROUTES = (
    post("/v1/images/load", load, None, wire.OwnImageView, NAME, raw=True, costly=True),
    get("/v1/images/own", listed, list[wire.OwnImageView], access=Access.USER),
    post("/v1/images/remove", remove, wire.RemoveImageRequest, wire.OwnImageView),
)
