"""The keyword arguments of ``Client.run`` and ``Client.map``, for type checkers and editors."""

from __future__ import annotations

from typing import Literal, TypedDict

from launcher.spec.gpus import GpuRequest
from launcher.spec.job_spec import ArrayRequest, Mount, Retries, SignalBefore, Ulimit
from launcher.spec.notify import NotifyTarget


class JobFields(TypedDict, total=False):
    """The fields of ``JobSpec`` but ``image``, ``command`` and ``foreground``; none is needed."""

    name: str
    gpus: GpuRequest
    entrypoint: tuple[str, ...] | None
    environment: dict[str, str]
    working_dir: str | None
    volumes: tuple[Mount, ...]
    tmp: Literal["disk", "memory"]
    shm_size: int | None
    ulimits: dict[str, Ulimit]
    mem_limit: int | None
    cpus: float | None
    user: str | None
    hostname: str | None
    network_mode: Literal["default", "none", "host"] | None
    policy_profile: str | None
    stop_grace_period: float
    ports: tuple[int, ...]
    loopback: bool
    tty: bool
    stdin_open: bool
    pull_policy: Literal["always", "missing", "never"]
    priority: int
    time_limit: float | None
    begin: str | None
    hold: bool
    depends_on: dict[str, str]
    depends_any: bool
    singleton: bool
    retries: Retries | None
    signal: SignalBefore | None
    idle_timeout: float | None
    preemptible: bool
    array: ArrayRequest | None
    secrets: dict[str, str | None]
    runtime: Literal["docker", "host"]
    notify: tuple[NotifyTarget, ...] | None
