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
from launcher.core.model.own_image import PREFIX, OwnImage, parse
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.api.query_params import text
from launcher.daemon.api.route import get, post
from launcher.daemon.loop import audit_log, clock
from launcher.daemon.users.identity import Caller
from launcher.errors import InternalError, NotAllowed, TooSlow, UserError, from_wire

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
    world, owner = context.world, caller.owner
    audit_log.about(detail=f"load {PREFIX}{name}")
    quota = world.rules.quota_of(owner.name)
    room = own_images.room(world, owner.uid, quota, admin=caller.admin, name=name)
    number = len(own_images.of_user(world, owner.uid))
    if room <= 0 or number >= own_images.MOST_IMAGES:
        raise NotAllowed(
            f"{owner.name} has {number} images, and no room for more (quota image_bytes, and "
            f"{own_images.MOST_IMAGES} at most)",
            fix="`launch image ls` lists yours, `launch image rm` removes one.",
        )
    result = await _loaded(context, owner.uid, name, room, request)
    now = clock.now().wall
    image = OwnImage(owner.uid, owner.name, name, result["image_id"], result["bytes"], now)
    await context.event_loop.request(ev.OwnImageLoaded(image))
    return _view(context, image)


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
    repository, _, tag = image.name.rpartition(":")
    tagged = f"{repository_of(image.uid, repository)}:{tag}"
    await context.users.run(caller.uid, context.images.untag, tagged)
    return _view(context, image)


def repository_of(uid: int, name: str) -> str:
    """Return the repository that keeps a user's image in Docker; no job refers to it."""
    return f"launcher-own/{uid}/{name}"


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


async def _loaded(
    context: Context, uid: int, name: str, most: int, request: web.Request
) -> dict[str, Any]:
    """Pass the body on to the loading process; return its result."""
    repository, _, tag = name.rpartition(":")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "launcher.image_loader",
        "--docker", context.config.docker_host, "--most", str(most),
        "--repository", repository_of(uid, repository), "--tag", tag,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has refused
            await _pass_on(request, process.stdin, context.limiter.limits.body_time)
        process.stdin.close()
        async with asyncio.timeout(LOAD_SECONDS):
            reply = await process.stdout.read(MOST_REPLY)
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    try:
        result: dict[str, Any] = json.loads(reply)
    except ValueError:
        raise InternalError("the process that loads images failed; see the daemon's log") from None
    if (error := result.get("error")) is not None:
        raise from_wire(error["kind"], error["message"], error["fix"])
    return result


async def _pass_on(request: web.Request, to: asyncio.StreamWriter, seconds: float) -> None:
    while True:
        try:
            async with asyncio.timeout(seconds):
                piece = await request.content.readany()
        except TimeoutError:
            raise TooSlow(f"no more of the archive came within {seconds:g} s") from None
        if not piece:
            return
        to.write(piece)
        await to.drain()


ROUTES = (
    post("/v1/images/load", load, None, wire.OwnImageView, NAME, raw=True, costly=True),
    get("/v1/images/own", listed, list[wire.OwnImageView]),
    post("/v1/images/remove", remove, wire.RemoveImageRequest, wire.OwnImageView),
)
