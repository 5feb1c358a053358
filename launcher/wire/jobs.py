"""The body of a submit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from launcher.spec.bounds import STRICT, Most
from launcher.spec.job_spec import ArrayRequest, JobSpec

MOST_TOKEN = 64 * 1024
MOST_REGISTRIES = 64


@dataclass(frozen=True, kw_only=True)
class RegistryAuth:
    """A user's own credentials for one registry; the daemon keeps them in memory only."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    username: str = ""
    password: Annotated[str, Most(MOST_TOKEN)] = field(default="", repr=False)
    identitytoken: Annotated[str, Most(MOST_TOKEN)] = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class SubmitRequest:
    """The body of a submit: all of its jobs are queued, or none."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    jobs: Annotated[list[JobSpec], Most(ArrayRequest.MAX_ELEMENTS)]
    credentials: Annotated[dict[str, RegistryAuth], Most(MOST_REGISTRIES)] = field(
        default_factory=dict, repr=False
    )
    dry_run: bool = False
