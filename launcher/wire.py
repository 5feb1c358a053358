"""Request, reply and error types of the HTTP API, and the frames of its streams.

Plain dataclasses, standard library only: the client imports nothing else, the daemon validates the
same classes with pydantic's TypeAdapter. Sizes are bytes, times are seconds unless a name says
otherwise, moments are RFC 3339 text with six decimals and ``Z``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

API_VERSION = 1
MAX_BODY_BYTES = 8 * 1024 * 1024

_STRICT: dict[str, Any] = {"extra": "forbid", "strict": False}


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
class JobRequest:
    """One job as asked: the typed form of a job file or of ``launch run``'s flags.

    Everything is already resolved by the client (paths absolute, env files read); the daemon checks
    it all again. ``time_limit`` and ``stop_grace_period`` are seconds, ``cpus`` is in cores.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    name: str
    image: str
    command: list[str] | None = None
    entrypoint: list[str] | None = None
    gpus: GpuRequest = field(default_factory=GpuRequest)
    environment: dict[str, str] = field(default_factory=dict)
    working_dir: str | None = None
    volumes: list[Mount] = field(default_factory=list)
    shm_size: int = 64 * 1024 * 1024
    mem_limit: int | None = None
    cpus: float | None = None
    user: str | None = None
    stop_grace_period: float = 10.0
    pull_policy: Literal["always", "missing", "never"] = "missing"
    priority: int = 50
    time_limit: float | None = None


@dataclass(frozen=True, kw_only=True)
class RegistryAuth:
    """A user's own credentials for one registry; the daemon keeps them in memory only."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    username: str = ""
    password: str = field(default="", repr=False)
    identitytoken: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class SubmitRequest:
    """The body of a submit: all of its jobs are queued, or none."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    jobs: list[JobRequest]
    credentials: dict[str, RegistryAuth] = field(default_factory=dict, repr=False)
    dry_run: bool = False


@dataclass(frozen=True, kw_only=True)
class SignalRequest:
    """A signal for a running job's container, by name (``SIGINT``)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    signal: str


@dataclass(frozen=True, kw_only=True)
class Blocker:
    """One unmet need of a pending job: what it needs and what there is, as text for people."""

    kind: str
    need: str
    have: str


@dataclass(frozen=True, kw_only=True)
class JobView:
    """A job as ``ps`` shows it. What the caller may not see is None."""

    id: int
    name: str | None
    user: str
    state: str
    outcome: str | None
    reason: str | None
    profile: str | None
    count: int
    slices: list[str]
    image: str | None
    command: list[str] | None
    priority: int
    array: dict[str, Any] | None
    attempt: int
    exit_code: int | None
    submitted_at: str
    started_at: str | None
    ended_at: str | None
    container_id: str | None
    message: str | None = None

    @property
    def word(self) -> str:
        """The one word the CLI shows: the outcome when there is one, else the state."""
        return self.outcome or self.state


@dataclass(frozen=True, kw_only=True)
class AttemptView:
    """One try at running a job."""

    attempt: int
    slices: list[str]
    container_id: str | None
    container_name: str
    image_id: str | None
    started_at: str | None
    ended_at: str | None
    exit_code: int | None
    oom: bool
    cause: str | None


@dataclass(frozen=True, kw_only=True)
class EventView:
    """One line of a job's history."""

    at: str
    event: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class JobDetail:
    """What ``show`` prints: the job, its whole spec, its attempts, its history, its blockers."""

    job: JobView
    spec: JobRequest | None
    image_id: str | None
    blockers: list[Blocker]
    position: int | None
    attempts: list[AttemptView]
    events: list[EventView]


@dataclass(frozen=True, kw_only=True)
class SliceView:
    """A slice as ``slices`` shows it. ``placement`` is in the board's memory units."""

    uuid: str
    gpu: str
    gpu_index: int
    profile: str
    memory_mib: int
    gi: int | None
    ci: int | None
    placement: dict[str, int] | None
    state: str
    job: int | None
    attempt: int | None
    user: str | None
    made_by: str
    why: str | None = None


@dataclass(frozen=True, kw_only=True)
class Status:
    """The daemon's own health. ``state`` is healthy or degraded, ``problems`` says why."""

    state: Literal["healthy", "degraded"]
    problems: list[str]
    version: str
    api_version: int
    pid: int
    store: str
    socket: str
    state_dir: str
    docker: str | None
    driver: str | None
    gpus: int
    slices: dict[str, int]
    jobs: dict[str, int]
    started_at: str


@dataclass(frozen=True, kw_only=True)
class Check:
    """One line of ``doctor``. ``state`` is ok, warning or problem."""

    check: str
    state: Literal["ok", "warning", "problem"]
    message: str
    fix: str | None = None


@dataclass(frozen=True, kw_only=True)
class ErrorReply:
    """The body of every answer that is not 2xx."""

    kind: str
    message: str
    fix: str | None = None


STDOUT, STDERR, NOTE, EVENT, END = 1, 2, 3, 4, 0
_HEADER = struct.Struct(">BQI")
FRAME_HEADER_BYTES = _HEADER.size


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a log file or of a follow stream.

    ``stream``: STDOUT and STDERR carry the job's bytes; NOTE a sentence of the launcher (UTF-8:
    a cut log); EVENT a JobView as JSON (follow streams only); END closes the stream and carries
    nothing in a file, and the final JobView as JSON in a follow stream. ``time_ns`` is Docker's
    timestamp, nanoseconds since 1970.
    """

    stream: int
    time_ns: int
    data: bytes

    def encode(self) -> bytes:
        """Return the frame's bytes: a 13-byte header (stream, time, length), then the data."""
        return _HEADER.pack(self.stream, self.time_ns, len(self.data)) + self.data


def decode_header(header: bytes) -> tuple[int, int, int]:
    """Return (stream, time_ns, length) of a 13-byte frame header."""
    stream, time_ns, length = _HEADER.unpack(header)
    return stream, time_ns, length


def read_frames(read: Callable[[int], bytes]) -> Iterator[Frame]:
    """Yield frames from a blocking ``read(n)`` until it returns short: the end, or a cut stream."""
    while True:
        header = read(FRAME_HEADER_BYTES)
        if len(header) < FRAME_HEADER_BYTES:
            return
        stream, time_ns, length = decode_header(header)
        data = read(length) if length else b""
        if len(data) < length:
            return
        yield Frame(stream, time_ns, data)
