"""Logging in to a registry."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from launcher.spec.bounds import STRICT
from launcher.wire.jobs import RegistryAuth


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
