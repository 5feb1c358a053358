"""The routes for disk space: what jobs and caches have, and emptying a cache."""

from __future__ import annotations

import asyncio
import pwd

from launcher import wire
from launcher.core.jobs.disk_use import cache_limit, job_limit
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.api.route import Access, get, post
from launcher.daemon.loop import audit_log
from launcher.daemon.users.identity import Caller
from launcher.daemon.users.usernames import account_of
from launcher.errors import NotAllowed, UserError


async def disk(context: Context, caller: Caller) -> list[wire.UserDisk]:
    """Return the disk space of the caller's jobs and cache; for an admin that of all users."""
    world, keeper = context.world, context.home_keeper
    owners = {job: world.jobs[job].owner.uid for job in keeper.jobs if job in world.jobs}
    uids = {caller.uid}
    if caller.admin:
        stored = await context.users.run(caller.uid, keeper.homes.users_with_caches)
        uids |= {*stored, *owners.values()}
    uids -= {0}
    use = await context.users.run(caller.uid, keeper.homes.measure, [], sorted(uids))
    names = await context.users.run(caller.uid, lambda: {uid: account_of(uid)[0] for uid in uids})
    await asyncio.sleep(0)
    return [
        wire.UserDisk(
            names[uid],
            uid,
            use.caches[uid].bytes,
            cache_limit(world, names[uid], use.size),
            [wire.JobDisk(job, keeper.jobs[job]) for job, owner in owners.items() if owner == uid],
            job_limit(world, use.size),
            world.disk_full_for.get(uid),
        )
        for uid in sorted(uids)
    ]


async def clear_cache(
    context: Context, caller: Caller, body: wire.ClearCacheRequest
) -> wire.ClearCacheReply:
    """Empty a cache: running jobs lose what is in it, too."""
    uid, name = caller.uid, caller.owner.name
    if body.user is not None and body.user != name:
        if not caller.admin:
            raise NotAllowed(f"only an admin may empty the cache of {body.user}")
        uid, name = await context.accounts.run(caller.uid, _uid_of, body.user), body.user
    audit_log.about(detail=f"cache of {name}")
    return wire.ClearCacheReply(name, await context.home_keeper.clear_cache(uid))


def _uid_of(name: str) -> int:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise UserError(f"this machine has no user {name!r}") from None


ROUTES = (
    get("/v1/disk", disk, list[wire.UserDisk], costly=True, access=Access.USER),
    post("/v1/cache/clear", clear_cache, wire.ClearCacheRequest, wire.ClearCacheReply, costly=True),
)
