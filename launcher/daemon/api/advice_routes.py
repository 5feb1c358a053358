"""The route for advice: which jobs request more than they use."""

from __future__ import annotations

from launcher import wire
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.api.query_params import text
from launcher.daemon.api.route import Access, get
from launcher.daemon.users.identity import Caller
from launcher.errors import NotAllowed


async def advice(context: Context, caller: Caller, *, user: str | None) -> list[wire.AdviceView]:
    """Return advice on the caller's ended jobs; for an admin on those of all users, or of one."""
    own = user in ("me", caller.owner.name) or (user is None and not caller.admin)
    if not own and not caller.admin:
        raise NotAllowed(f"only an admin may see advice on the jobs of {user}")
    uid, name = (caller.uid, None) if own else (None, user)
    return await context.adviser.on_users(caller.uid, uid=uid, user=name)


OF_USER = text("user", "As an admin: only the jobs of this user; `me` for one's own.")

ROUTES = (
    get("/v1/advice", advice, list[wire.AdviceView], OF_USER, access=Access.USER, costly=True),
)
