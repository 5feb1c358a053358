"""Makes calls of NVML: a return code becomes a value or an exception, by one table."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any

from launcher.errors import (
    DriverMismatch,
    DriverNotLoaded,
    GpuFault,
    GpuLost,
    GpuPermission,
    GpuUnavailable,
    LauncherError,
    NvmlLibraryMissing,
)

UNINITIALIZED = 1
INVALID_ARGUMENT = 2
NOT_SUPPORTED = 3
NO_PERMISSION = 4
NOT_FOUND = 6
INSUFFICIENT_SIZE = 7
DRIVER_NOT_LOADED = 9
TIMEOUT = 10
LIBRARY_NOT_FOUND = 12
FUNCTION_NOT_FOUND = 13
GPU_IS_LOST = 15
OPERATING_SYSTEM = 17
LIB_RM_VERSION_MISMATCH = 18
IN_USE = 19
NOT_READY = 27
UNKNOWN = 999

UNKNOWABLE = frozenset({NOT_SUPPORTED, FUNCTION_NOT_FOUND})
"""This driver or board does not report the value."""

GONE = frozenset({INVALID_ARGUMENT, NOT_FOUND})
"""The object of the handle or id no longer exists: a stale handle is INVALID_ARGUMENT."""

TRANSIENT = frozenset({INSUFFICIENT_SIZE, TIMEOUT, IN_USE, NOT_READY, UNKNOWN})
"""Reads with these codes are retried: the list grew between the two calls, or the driver is
starting or busy with a change of instances. Other codes would be the same every time."""

ATTEMPTS = 3
FIRST_WAIT_S = 0.02

_ERRORS: dict[int, tuple[type[LauncherError], str, str]] = {
    LIBRARY_NOT_FOUND: (
        NvmlLibraryMissing,
        "The NVIDIA management library (libnvidia-ml.so.1) is not installed.",
        "Install the NVIDIA driver, or try without a GPU: launch serve --fake-gpu 'A30:1g.6gb*4'.",
    ),
    DRIVER_NOT_LOADED: (
        DriverNotLoaded,
        "The NVIDIA kernel driver is not loaded.",
        "Run nvidia-smi and look at dmesg; load it with modprobe nvidia, or install the driver.",
    ),
    LIB_RM_VERSION_MISMATCH: (
        DriverMismatch,
        "The NVIDIA library and the loaded kernel driver have different versions.",
        "The driver was upgraded under a running system: reboot, then start the launcher again.",
    ),
    GPU_IS_LOST: (
        GpuLost,
        "A GPU fell off the bus or stopped answering.",
        "Look for NVRM Xid lines in dmesg; reboot the machine if the GPU does not come back.",
    ),
    NO_PERMISSION: (
        GpuPermission,
        "NVML refused the call: no permission.",
        "Run the daemon as root, or let its group read /dev/nvidia-caps (config and monitor).",
    ),
    OPERATING_SYSTEM: (
        GpuUnavailable,
        "The operating system denies this process access to the GPU.",
        "A device cgroup revoked it (systemctl daemon-reload does): restart the daemon.",
    ),
}


class NvmlClosed(Exception):
    """NVML was not, or is no longer, initialised: reopen it. Handled within this package."""


_under_way: dict[int, tuple[str, float]] = {}


def under_way(thread: int | None) -> tuple[str, float] | None:
    """Return the last call that a thread started, and when (time.monotonic)."""
    return None if thread is None else _under_way.get(thread)


def record_call(call: str) -> None:
    """Record the call that this thread makes now, because a hanging thread cannot report it."""
    _under_way[threading.get_ident()] = (call, time.monotonic())


def forget_call() -> None:
    """Forget this thread's last call: the next read, or a new thread with its id, made none yet."""
    _under_way.pop(threading.get_ident(), None)


@cache
def pynvml_module() -> Any:
    """Return nvidia-ml-py, imported at the first call."""
    import pynvml

    return pynvml


@cache
def is_stand_in() -> bool:
    """Return whether NVML is ``launcher.fakegpu``'s, by a symbol that only that library has.

    Examines the library that pynvml loads, or has loaded, without calling it. Raises OSError if
    there is none.
    """
    return hasattr(ctypes.CDLL("libnvidia-ml.so.1"), "fakegpu_use")


def code_name(code: int) -> str:
    """Return NVML's name of a return code: ``IN_USE`` for 19."""
    prefix = "NVML_ERROR_"
    for name, value in vars(pynvml_module()).items():
        if name.startswith(prefix) and value == code:
            return str(name).removeprefix(prefix)
    return f"code {code}"


def error_for(call: str, code: int) -> Exception:
    """Return the exception for a return code of ``call``."""
    if code == UNINITIALIZED:
        return NvmlClosed(call)
    if code in _ERRORS:
        cls, message, fix = _ERRORS[code]
        return cls(f"{message} ({call}: {code_name(code)})", fix=fix)
    return GpuFault(
        f"NVML refused {call}: {code_name(code)} (code {code})",
        fix="Run launch doctor; dmesg has the driver's own message.",
    )


def query(call: str, *arguments: Any, unknown: frozenset[int] = frozenset()) -> Any:
    """Make a reading call; None for a code in ``unknown``; a transient code is retried."""
    nvml = pynvml_module()
    make: Callable[..., Any] = getattr(nvml, call)

    def function(*arguments: Any) -> Any:
        record_call(call)
        return make(*arguments)

    try:
        return function(*arguments)
    except nvml.NVMLError as error:
        code = int(error.value)
    if code in TRANSIENT and code not in unknown:
        code, value = _retry(function, arguments)
        if code == 0:
            return value
    if code in unknown:
        return None
    raise error_for(call, code)


def _retry(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[int, Any]:
    """Repeat a call that failed for a transient reason; (0, value) or (code, None)."""
    import tenacity

    nvml = pynvml_module()

    def passing(error: BaseException) -> bool:
        return isinstance(error, nvml.NVMLError) and int(error.value) in TRANSIENT

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(passing),
        stop=tenacity.stop_after_attempt(ATTEMPTS - 1),
        wait=tenacity.wait_exponential(multiplier=FIRST_WAIT_S),
        sleep=tenacity.nap.sleep,
        reraise=True,
    )
    try:
        return 0, retrying(function, *arguments)
    except nvml.NVMLError as error:
        return int(error.value), None
