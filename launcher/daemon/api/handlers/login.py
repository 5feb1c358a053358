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


def must_be_few(given: Mapping[str, wire.RegistryAuth]) -> None:
    """Raise ``UserError`` if a user would have credentials for more registries than are kept."""
    if len(given) > MOST_REGISTRIES:
        raise UserError(f"credentials for {len(given)} registries; {MOST_REGISTRIES} can be given")


def store_credentials(
    context: Context, caller: Caller, given: Mapping[str, wire.RegistryAuth]
) -> None:
    """Keep credentials in memory; images that waited for them are pulled now."""
    if given:
        context.credentials.store(caller.uid, given)
        context.event_loop.post(ev.CredentialsGiven(caller.uid, frozenset(given)))


async def login(context: Context, caller: Caller, asked: wire.LoginRequest) -> wire.LoginReply:
    """Ask the registry whether it accepts these credentials, then keep them.

    Raises ``NotAllowed`` with the registry's message if it does not, and for a registry from which
    the policy allows no image.
    """
    rules = context.world.rules.policy
    person = await context.accounts.person(caller.uid, caller.owner, rules.groups)
    policy.check_registry(person, rules, asked.registry)
    auth = asked.auth
    text = await context.users.run(
        caller.uid, context.images.login, asked.registry, auth.username, auth.password
    )
    store_credentials(context, caller, {asked.registry: auth})
    return wire.LoginReply(registry=asked.registry, message=text)
