"""Asking for jobs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal

from launcher.wire.bounds import Most

MOST_ARGUMENT = 128 * 1024
"""Of one argument or variable, in characters: what Linux lets a program have (MAX_ARG_STRLEN)."""
MOST_ARGUMENTS = 20_000
MOST_DEPENDENCIES = 10_000
MOST_TOKEN = 64 * 1024
MOST_REGISTRIES = 64
_STRICT: dict[str, Any] = {"extra": "forbid", "strict": False, "allow_inf_nan": False}


@dataclass(frozen=True, kw_only=True)
class GpuRequest:
    """What a job asks of the GPUs.

    ``kind`` decides which fields count: ``none`` (a CPU job), ``profile`` (``profile``, ``count``),
    ``memory`` (``memory_gb``, compared with the number in the profile's name, or ``memory_mib``,
    compared with NVML's figure; ``count``), ``uuid`` (``uuids``: MIG or GPU UUIDs), ``full``
    (``count`` whole GPUs whose MIG mode is off), ``all`` (every such GPU).
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    kind: Literal["none", "profile", "memory", "uuid", "full", "all"] = "none"
    profile: str | None = None
    count: int = 1
    memory_gb: int | None = None
    memory_mib: int | None = None
    uuids: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A bind mount: an absolute path of the host, an absolute path in the container."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, kw_only=True)
class RetryRequest:
    """Which ends of a job make it run again, ``max`` times at most.

    ``on``: ``infra`` (lost, or taken away), ``oom``, ``timeout``, ``exit:75``, ``exit:1-3``,
    ``any`` (every end but a cancel and exit 0). The first wait is ``backoff`` seconds, each next
    one twice as long, up to ``max_backoff``.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    max: int = 0
    on: list[str] = field(default_factory=lambda: ["infra"])
    backoff: float = 0.0
    max_backoff: float = 3600.0


@dataclass(frozen=True, kw_only=True)
class SignalBefore:
    """A signal, by name (``SIGUSR1``), sent ``before`` seconds ahead of the time limit."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    name: str
    before: float


@dataclass(frozen=True, kw_only=True)
class ArrayRequest:
    """The elements of an array or a matrix, which the daemon makes one job each of.

    ``matrix`` has one combination of values for each of ``indices``, or is empty. Of all elements
    ``max_parallel`` run at once at most, None for no limit.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    MAX_ELEMENTS: ClassVar[int] = 100_000
    MAX_INDEX: ClassVar[int] = 2**31 - 1

    indices: Annotated[list[int], Most(MAX_ELEMENTS)]
    matrix: Annotated[list[dict[str, str]], Most(MAX_ELEMENTS)] = field(
        default_factory=list, repr=False
    )
    max_parallel: int | None = None


@dataclass(frozen=True, kw_only=True)
class JobRequest:
    """One job as asked: the typed form of a job file or of ``launch run``'s flags.

    Everything is already resolved by the client (paths absolute, env files read); the daemon checks
    it all again. ``time_limit`` and ``stop_grace_period`` are seconds, ``cpus`` is in cores,
    ``begin`` is RFC 3339. ``depends_on`` names jobs of the same submit, or others by id, and how
    they must end. With ``idle_timeout`` a job ends after so many seconds without a process on its
    slices; ``policy_profile`` names what an admin opened beyond the default policy, for members of
    a group; a ``preemptible`` one gives way to jobs of higher priority and is queued again.

    A job with ``runtime: host`` runs its command on the machine itself, as its owner; it has no
    image. With ``foreground`` its client starts the command when it is the job's turn.

    ``secrets`` are files in /run/secrets by their names: their contents in base64, None where they
    are not told (``without_contents``): in a dry run, and in all that the daemon shows.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    MOST_SECRETS: ClassVar[int] = 16
    MOST_SECRET_BYTES: ClassVar[int] = 64 * 1024

    name: Annotated[str, Most(128)]
    image: str
    command: Annotated[list[Annotated[str, Most(MOST_ARGUMENT)]], Most(MOST_ARGUMENTS)] | None = (
        None
    )
    entrypoint: (
        Annotated[list[Annotated[str, Most(MOST_ARGUMENT)]], Most(MOST_ARGUMENTS)] | None
    ) = None
    gpus: GpuRequest = field(default_factory=GpuRequest)
    environment: dict[str, Annotated[str, Most(MOST_ARGUMENT)]] = field(
        default_factory=dict, repr=False
    )
    working_dir: str | None = None
    volumes: list[Mount] = field(default_factory=list)
    shm_size: int = 64 * 1024 * 1024
    mem_limit: int | None = None
    cpus: float | None = None
    user: str | None = None
    hostname: str | None = None
    network_mode: Literal["default", "none", "host"] | None = None
    policy_profile: str | None = None
    stop_grace_period: float = 10.0
    pull_policy: Literal["always", "missing", "never"] = "missing"
    priority: int = 50
    time_limit: float | None = None
    begin: str | None = None
    hold: bool = False
    depends_on: Annotated[
        dict[str, Literal["afterok", "afternotok", "afterany"]], Most(MOST_DEPENDENCIES)
    ] = field(default_factory=dict)
    retries: RetryRequest | None = None
    signal: SignalBefore | None = None
    idle_timeout: float | None = None
    preemptible: bool = False
    array: ArrayRequest | None = None
    secrets: dict[str, Annotated[str, Most(2 * MOST_SECRET_BYTES)] | None] = field(
        default_factory=dict, repr=False
    )
    runtime: Literal["docker", "host"] = "docker"
    foreground: bool = False

    def without_contents(self) -> JobRequest:
        """Return the request with the names of its secrets alone."""
        return replace(self, secrets=dict.fromkeys(self.secrets)) if self.secrets else self


@dataclass(frozen=True, kw_only=True)
class RegistryAuth:
    """A user's own credentials for one registry; the daemon keeps them in memory only."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    username: str = ""
    password: Annotated[str, Most(MOST_TOKEN)] = field(default="", repr=False)
    identitytoken: Annotated[str, Most(MOST_TOKEN)] = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class SubmitRequest:
    """The body of a submit: all of its jobs are queued, or none."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    jobs: Annotated[list[JobRequest], Most(ArrayRequest.MAX_ELEMENTS)]
    credentials: Annotated[dict[str, RegistryAuth], Most(MOST_REGISTRIES)] = field(
        default_factory=dict, repr=False
    )
    dry_run: bool = False
