"""Logging in: to a registry, and to the pages of ``launch web``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from launcher.spec.bounds import STRICT, Most
from launcher.wire.jobs import RegistryAuth

MOST_WEB_TOKEN = 200
"""Characters of a token."""


@dataclass(frozen=True, kw_only=True)
class LoginRequest:
    """A user's credentials for one registry, which the daemon keeps in memory only."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    registry: str
    auth: RegistryAuth = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class LoginReply:
    """That a registry takes the credentials, in its own words."""

    registry: str
    message: str


@dataclass(frozen=True, kw_only=True)
class WebToken:
    """A token that logs its user in once, within ``seconds``; ``listen`` is where pages are."""

    token: str = field(repr=False)
    seconds: int
    listen: str


@dataclass(frozen=True, kw_only=True)
class WebLogin:
    """A token that a browser sent."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    token: Annotated[str, Most(MOST_WEB_TOKEN)] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class WebSession:
    """The session of a user who logged in: whoever has it has the user's rights on pages."""

    session: str = field(repr=False)
    user: str


@dataclass(frozen=True, kw_only=True)
class WebCaller:
    """The user of a session and the role: user, trusted or admin."""

    user: str
    uid: int
    role: str
