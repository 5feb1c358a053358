"""Users' registry credentials, sent with a submit or by ``launch login``."""

from __future__ import annotations

from collections.abc import Mapping

from launcher import wire
from launcher.core.messages import events as ev
from launcher.core.policy import policy
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.users.credentials import MOST_REGISTRIES
from launcher.daemon.users.identity import Caller
from launcher.errors import UserError


def must_be_few(by_registry: Mapping[str, wire.RegistryAuth]) -> None:
    """Raise ``UserError`` if a request has credentials for more registries than are stored."""
    if len(by_registry) > MOST_REGISTRIES:
        raise UserError(
            f"credentials for {len(by_registry)} registries; at most {MOST_REGISTRIES} are allowed"
        )


def store_credentials(
    context: Context, caller: Caller, by_registry: Mapping[str, wire.RegistryAuth]
) -> None:
    """Store credentials in memory, and pull the images that waited for them."""
    if by_registry:
        context.credentials.store(caller.uid, by_registry)
        context.event_loop.post(ev.CredentialsGiven(caller.uid, frozenset(by_registry)))


async def login(context: Context, caller: Caller, request: wire.LoginRequest) -> wire.LoginReply:
    """Check these credentials with the registry, then store them.

    Raises ``NotAllowed`` with the registry's message if it does not, and for a registry from which
    the policy allows no image.
    """
    rules = context.world.rules.policy
    person = await context.accounts.person(caller.uid, caller.owner, rules.groups)
    policy.check_registry(person, rules, request.registry)
    auth = request.auth
    text = await context.users.run(
        caller.uid, context.images.login, request.registry, auth.username, auth.password
    )
    store_credentials(context, caller, {request.registry: auth})
    return wire.LoginReply(registry=request.registry, message=text)
