"""The specification of a job, with its parts."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal

from launcher.spec.bounds import STRICT, Most
from launcher.spec.gpus import GpuRequest
from launcher.spec.notify import NotifyTarget

MOST_ARGUMENT = 128 * 1024
"""Of one argument or variable, in characters: what Linux lets a program have (MAX_ARG_STRLEN)."""
MOST_ARGUMENTS = 20_000
MOST_DEPENDENCIES = 10_000
MOST_CONDITION = 20
MOST_PORTS = 16
SECRETS_KEY = "kept:"
"""The prefix of the key that a stored specification has in place of a secret."""
DOCKER: Literal["docker"] = "docker"
HOST: Literal["host"] = "host"
"""What runs a job: a container, or the machine itself."""

ULIMITS = ("memlock", "stack", "nofile", "nproc")
"""The limits of setrlimit(2) that a job may set."""

Arguments = Annotated[tuple[Annotated[str, Most(MOST_ARGUMENT)], ...], Most(MOST_ARGUMENTS)]


@dataclass(frozen=True, slots=True)
class Mount:
    """A bind mount: an absolute path of the host, an absolute path in the container."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Retries:
    """Which ends of a job make it run again, ``max`` times at most.

    ``on``: ``infra`` (lost, or taken away), ``oom``, ``timeout``, ``exit:75``, ``exit:1-3``,
    ``any`` (every end but a cancel and exit 0). The first wait is ``backoff`` seconds, each next
    one twice as long, up to ``max_backoff``.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    max: int = 0
    on: tuple[str, ...] = ("infra",)
    backoff: float = 0.0
    max_backoff: float = 3600.0


@dataclass(frozen=True, slots=True)
class SignalBefore:
    """A signal, by name (``SIGUSR1``), sent ``before`` seconds ahead of the time limit."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    name: str
    before: float


@dataclass(frozen=True, slots=True)
class Ulimit:
    """A limit of the kernel for each process (setrlimit(2)); -1 means unlimited."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    soft: int
    hard: int


@dataclass(frozen=True, kw_only=True)
class ArrayRequest:
    """The elements of an array or a matrix, which the daemon makes one job each of.

    ``matrix`` has one combination of values for each of ``indices``, or is empty. Of all elements
    ``max_parallel`` run at once at most, None for no limit.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    MAX_ELEMENTS: ClassVar[int] = 100_000
    MAX_INDEX: ClassVar[int] = 2**31 - 1

    indices: Annotated[list[int], Most(MAX_ELEMENTS)]
    matrix: Annotated[list[dict[str, str]], Most(MAX_ELEMENTS)] = field(
        default_factory=list, repr=False
    )
    max_parallel: int | None = None


@dataclass(frozen=True)
class JobSpec:
    """One job as it was requested: the typed form of a job file or of ``launch run``'s flags.

    The client has resolved everything (paths absolute, env files read); the daemon checks it all
    again. Sizes are bytes; ``time_limit``, ``stop_grace_period`` and ``idle_timeout`` are seconds;
    ``cpus`` is in cores; ``begin`` is RFC 3339. ``depends_on`` names jobs of the same submit, or
    others by id, and what they must have done (``launcher.spec.conditions``): all of them, or with
    ``depends_any`` one. A ``singleton`` also waits for the end of earlier jobs of its owner and
    name. With ``idle_timeout`` a job ends after so many seconds
    without a process on its slices. ``policy_profile`` names a profile that an admin opened for
    members of a group. ``tmp`` says where /tmp is. A socket of its owner leads to
    each of its ``ports``; with ``loopback`` also one of the machine's ports. With ``tty`` the
    container has a terminal, with ``stdin_open`` an open standard input: such a job is interactive.
    A ``preemptible`` job gives way to jobs of higher priority and is queued again.

    A job with ``runtime: host`` runs its command on the machine itself, as its owner; it has no
    image. With ``foreground`` its client starts the command when it is the job's turn.

    ``notify`` says who is told of the job; None means the targets that its owner set for all jobs.

    ``secrets`` are files in /run/secrets by their names: their contents in base64, the key under
    which the daemon stores them (``secrets_key``), or None where they are hidden
    (``without_contents``): in a dry run, and in all that the daemon shows. Values of variables and
    secrets are in no ``repr``, and so in no log.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    MOST_SECRETS: ClassVar[int] = 16
    MOST_SECRET_BYTES: ClassVar[int] = 64 * 1024

    name: Annotated[str, Most(128)]
    image: str
    gpus: GpuRequest = field(default_factory=GpuRequest)
    _: KW_ONLY
    command: Arguments | None = None
    entrypoint: Arguments | None = None
    environment: dict[str, Annotated[str, Most(MOST_ARGUMENT)]] = field(
        default_factory=dict, repr=False
    )
    working_dir: str | None = None
    volumes: tuple[Mount, ...] = ()
    tmp: Literal["disk", "memory"] = "disk"
    shm_size: int | None = None
    ulimits: Annotated[dict[str, Ulimit], Most(len(ULIMITS))] = field(default_factory=dict)
    mem_limit: int | None = None
    cpus: float | None = None
    user: str | None = None
    hostname: str | None = None
    network_mode: Literal["default", "none", "host"] | None = None
    policy_profile: str | None = None
    stop_grace_period: float = 10.0
    ports: Annotated[tuple[int, ...], Most(MOST_PORTS)] = ()
    loopback: bool = False
    tty: bool = False
    stdin_open: bool = False
    pull_policy: Literal["always", "missing", "never"] = "missing"
    priority: int = 50
    time_limit: float | None = None
    begin: str | None = None
    hold: bool = False
    depends_on: Annotated[
        dict[str, Annotated[str, Most(MOST_CONDITION)]], Most(MOST_DEPENDENCIES)
    ] = field(default_factory=dict)
    depends_any: bool = False
    singleton: bool = False
    retries: Retries | None = None
    signal: SignalBefore | None = None
    idle_timeout: float | None = None
    preemptible: bool = False
    array: ArrayRequest | None = None
    secrets: dict[str, Annotated[str, Most(2 * MOST_SECRET_BYTES)] | None] = field(
        default_factory=dict, repr=False
    )
    runtime: Literal["docker", "host"] = "docker"
    foreground: bool = False
    notify: tuple[NotifyTarget, ...] | None = field(default=None, repr=False)

    @property
    def on_host(self) -> bool:
        """Whether it runs on the machine itself, without an image."""
        return self.runtime == HOST

    @property
    def secrets_key(self) -> str | None:
        """The key under which the daemon stores the contents of the secrets; never a content."""
        first = next(iter(self.secrets.values()), None)
        return None if first is None or not is_secrets_key(first) else secrets_key_of(first)

    def without_contents(self) -> JobSpec:
        """Return the specification with the names of its secrets alone."""
        return replace(self, secrets=dict.fromkeys(self.secrets)) if self.secrets else self


def is_secrets_key(value: str) -> bool:
    """Whether the value of a secret is the key of what is stored; base64 has no colon."""
    return value.startswith(SECRETS_KEY)


def secrets_key_of(value: str) -> str:
    """Return the key of a value for which ``is_secrets_key`` holds."""
    return value.removeprefix(SECRETS_KEY)
