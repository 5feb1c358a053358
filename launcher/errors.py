"""One error tree. The class docstring is the default message, ``kind`` is stable on the wire.

A class of its own exists only where some caller acts on it. Every error can carry a ``fix``: what
to do next, in one sentence. Exit codes are those of design "Exit codes": 1 it failed, 2 wrong
usage or wrong job file, 3 the daemon or Docker is not reachable.
"""

from __future__ import annotations

from typing import ClassVar


class LauncherError(Exception):
    """Something failed in the launcher."""

    kind: ClassVar[str] = "error"
    exit_code: int = 1
    http_status: ClassVar[int] = 500

    def __init__(self, message: str | None = None, *, fix: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.fix = fix
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message}\n  {self.fix}" if self.fix else self.message


class UserError(LauncherError):
    """The request cannot be carried out as it was asked."""

    kind = "bad-request"
    exit_code = 2
    http_status = 400


class JobFileError(UserError):
    """The job file is not valid."""

    kind = "bad-job-file"

    def __init__(
        self,
        message: str,
        *,
        file: str,
        line: int = 0,
        column: int = 0,
        fix: str | None = None,
    ) -> None:
        self.file, self.line, self.column = file, line, column
        where = f"{file}:{line}:{column}" if line else file
        super().__init__(f"{where}: {message}", fix=fix)


class ImpossibleRequest(UserError):
    """No GPU of this machine could ever give what the job asks for."""

    kind = "impossible-request"


class ImpossibleLayout(UserError):
    """The layout cannot stand on this GPU."""

    kind = "impossible-layout"


class SeveralJobs(UserError):
    """The reference means several jobs."""

    kind = "several-jobs"


class NoSuchJob(LauncherError):
    """There is no such job."""

    kind = "no-such-job"
    http_status = 404


class JobFailed(LauncherError):
    """The job did not complete."""

    kind = "job-failed"
    job_id = 0
    outcome = ""
    """How it ended: FAILED, CANCELLED, TIMEOUT, OUT_OF_MEMORY, LOST."""
    job_exit_code: int | None = None
    """The exit code of its command, None if it has none; then ``exit_code`` is 1."""
    last_lines: tuple[str, ...] = ()
    """The end of its output."""


class NotAllowed(LauncherError):
    """You may not do this."""

    kind = "not-allowed"
    http_status = 403


class StaleRequest(LauncherError):
    """The job is no longer in a state in which this can be done."""

    kind = "conflict"
    http_status = 409


class TooMany(LauncherError):
    """You ask too much of the daemon at once."""

    kind = "too-many"
    http_status = 429
    retry_after: float = 1.0
    """After how many seconds the same request may be served."""


class TooLarge(UserError):
    """The request is too large."""

    kind = "too-large"
    http_status = 413


class TooSlow(UserError):
    """The request did not come in time."""

    kind = "too-slow"
    http_status = 408


class Unavailable(LauncherError):
    """Something the launcher needs cannot be reached now."""

    kind = "unavailable"
    exit_code = 3
    http_status = 503


class DaemonUnreachable(Unavailable):
    """The launcher daemon cannot be reached."""

    kind = "daemon-unreachable"


class EngineUnavailable(Unavailable):
    """Docker cannot be reached."""

    kind = "engine-unavailable"


class PinRefused(UserError):
    """What was asked for cannot be mounted."""

    kind = "pin-refused"


class PinsUnavailable(Unavailable):
    """Mounts for users cannot be made on this machine."""

    kind = "pins-unavailable"


class EngineError(LauncherError):
    """Docker refused what was asked of it."""

    kind = "engine-error"


class GpuUnavailable(Unavailable):
    """NVML cannot be used."""

    kind = "gpu-unavailable"


class NvmlLibraryMissing(GpuUnavailable):
    """The NVIDIA management library (libnvidia-ml.so.1) is not installed."""

    kind = "nvml-library-missing"


class DriverNotLoaded(GpuUnavailable):
    """The NVIDIA kernel driver is not loaded."""

    kind = "driver-not-loaded"


class DriverMismatch(GpuUnavailable):
    """The NVIDIA library and the loaded kernel driver have different versions."""

    kind = "driver-mismatch"


class GpuLost(GpuUnavailable):
    """A GPU fell off the bus or stopped answering."""

    kind = "gpu-lost"


class GpuSilent(GpuUnavailable):
    """A call of NVML does not return."""

    kind = "gpu-silent"


class GpuPermission(GpuUnavailable):
    """NVML refused the call: no permission."""

    kind = "gpu-permission"


class GpuFault(LauncherError):
    """NVML refused what was asked of it."""

    kind = "gpu-fault"


class GpuGone(GpuFault):
    """There is no such slice or GPU now."""

    kind = "gpu-gone"


class StateDirError(LauncherError):
    """The state directory cannot be used."""

    kind = "state-dir"


class SchemaTooNew(StateDirError):
    """The state directory was written by a newer version of the launcher."""

    kind = "schema-too-new"


class DatabaseDamaged(StateDirError):
    """The database is damaged or gone."""

    kind = "database-damaged"


class RecoveryMode(Unavailable):
    """The daemon cannot use its database: it starts nothing, and stops nothing."""

    kind = "recovery-mode"


class ReadOnlyState(Unavailable):
    """The daemon is read-only: its last commit failed."""

    kind = "read-only"


class ConfigError(UserError):
    """The configuration is not valid."""

    kind = "bad-config"


class InternalError(LauncherError):
    """A bug in the launcher."""

    kind = "internal"


class InvalidTransition(InternalError):
    """An event does not fit the state of its job; nothing was changed."""

    kind = "invalid-transition"


def by_kind() -> dict[str, type[LauncherError]]:
    """Return every error class of the tree by its wire ``kind``."""
    result: dict[str, type[LauncherError]] = {}
    todo: list[type[LauncherError]] = [LauncherError]
    while todo:
        cls = todo.pop()
        result[cls.kind] = cls
        todo.extend(cls.__subclasses__())
    return result


def from_wire(kind: str, message: str, fix: str | None) -> LauncherError:
    """Rebuild the error a daemon sent; an unknown kind becomes a plain ``LauncherError``."""
    cls = by_kind().get(kind, LauncherError)
    error = cls.__new__(cls)
    LauncherError.__init__(error, message, fix=fix)
    return error
