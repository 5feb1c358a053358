"""Terminals and ports of running jobs: sizes, further commands, and how ports are reached."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from launcher.spec.bounds import STRICT, Most
from launcher.spec.job_spec import MOST_ARGUMENT, Arguments

WRITES = "writes"
WATCHES = "watches"
ROLE_HEADER = "Launcher-Terminal"
"""The header of an attached stream: ``writes``, or ``watches`` if another client writes."""
COMMAND_HEADER = "Launcher-Command"
"""The header of a further command's stream: its id, for its size and its end."""
RAW_TYPE = "application/vnd.docker.raw-stream"
FRAMED_TYPE = "application/vnd.docker.multiplexed-stream"
"""The content type of a stream: a terminal's bytes, or Docker's frames (``docker_stream``)."""


@dataclass(frozen=True, kw_only=True)
class TerminalSize:
    """The size of a job's terminal, or of that of a further ``command`` in it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    rows: int
    columns: int
    command: Annotated[str, Most(64)] | None = None


@dataclass(frozen=True, kw_only=True)
class ExecRequest:
    """A further command in a running job's container, as the job's user and within its limits."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    command: Arguments
    tty: bool = False
    stdin: bool = False
    environment: dict[str, Annotated[str, Most(MOST_ARGUMENT)]] = field(
        default_factory=dict, repr=False
    )
    working_dir: str | None = None


@dataclass(frozen=True, kw_only=True)
class CommandView:
    """A further command: ``exit_code`` is None while it runs."""

    running: bool
    exit_code: int | None


@dataclass(frozen=True, kw_only=True)
class PortView:
    """One port of a container: ``socket`` is a path on the machine, which its owner alone may use.

    ``loopback`` is a port of 127.0.0.1, if the job has one. ``trouble`` says why one of the two is
    missing: ``socket`` is empty then, or ``loopback`` None.
    """

    port: int
    socket: str
    loopback: int | None = None
    trouble: str | None = None
