"""Parts of a job in a word or two."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from launcher.text.moments import duration, span

if TYPE_CHECKING:
    from launcher.wire import AdviceView, Ahead, ArrayView, AttemptView, JobView, QueueEntry

Number = TypeVar("Number", int, float)


def gpus(job: JobView | QueueEntry | Ahead | ArrayView) -> str | None:
    """Return the job's GPUs as people write them, or None for a CPU job."""
    if not job.profile or job.profile == "none":
        return "by UUID" if job.count and not job.profile else None
    single = job.count == 1 or "," in job.profile  # slices of several profiles are all named
    return job.profile if single else f"{job.profile}:{job.count}"


def why(job: JobView) -> str | None:
    """Return the reason of a job's state, with the sentence that explains it."""
    return ": ".join(part for part in (job.reason, job.message) if part) or None


def matrix(array: Mapping[str, Any]) -> str:
    """Return the values that an element has from a matrix.

    >>> matrix({"id": 12, "index": 3, "matrix": {"lr": "0.1", "seed": "2"}})
    'lr=0.1 seed=2'
    """
    return " ".join(f"{key}={value}" for key, value in (array.get("matrix") or {}).items())


def attempt_use(attempt: AttemptView, memory_limit: int | None) -> str | None:
    """Return what an attempt used as one line, None if nothing of it is known.

    ``memory_limit`` is in bytes, None if it is unknown. What is unknown is left out.
    """
    memory, size = attempt.gpu_memory_peak_mib, attempt.gpu_memory_mib
    parts = (
        _part("peak memory {}", attempt.memory_peak_bytes, binary_size, memory_limit),
        _part("CPU {}", attempt.cpu_seconds, cpu_time),
        _part("read {}", attempt.read_bytes, decimal_size),
        _part("wrote {}", attempt.written_bytes, decimal_size),
        _part("GPU memory peak {}", memory, gib_of_mib, size),
        _part("GPU activity {}", attempt.gpu_activity_percent, percent),
    )
    return ", ".join(part for part in parts if part is not None) or None


def _part(
    text: str, value: Number | None, show: Callable[[Number], str], of: Number | None = None
) -> str | None:
    if value is None:
        return None
    shown = show(value) if of is None else f"{show(value)} of {show(of)}"
    return text.format(shown)


def advice_text(advice: AdviceView) -> str:
    """Return an advice as one sentence."""
    jobs = f"{advice.jobs} job{'s' * (advice.jobs != 1)}"
    longest = span(advice.longest_seconds or 0)
    match advice.kind:
        case "smaller-slice":
            peak = (advice.gpu_memory_peak_mib or 0) / 1024
            size = gib_of_mib(advice.gpu_memory_mib or 0)
            would = f"{advice.suggested_profile} would do"
            return f"peaked at {peak:.1f} of {size} of GPU memory in {jobs}: {would}"
        case "idle-gpu":
            use = (
                _part("activity at most {}", advice.gpu_activity_percent, percent),
                _part("memory at most {}", advice.gpu_memory_peak_mib, gib_of_mib),
            )
            shown = ", ".join(part for part in use if part is not None)
            return f"did not use the GPU in {jobs} of up to {longest} ({shown}): request none"
        case "shorter-limit":
            limit = duration(advice.time_limit or 0)
            would = f"{duration(advice.suggested_time_limit or 0)} would do"
            return f"the longest of {jobs} took {longest}, the time limit is {limit}: {would}"
    return advice.kind


def binary_size(size: int) -> str:
    """Return a number of bytes in binary units, as memory is counted.

    >>> binary_size(3328599654), binary_size(12 << 20), binary_size(8 << 30), binary_size(500)
    ('3.1 GiB', '12 MiB', '8 GiB', '0.5 KiB')
    """
    unit, name = next((u for u in _BINARY if size >= u[0]), _BINARY[-1])
    return f"{_three_digits(size / unit)} {name}"


def decimal_size(size: int) -> str:
    """Return a number of bytes in decimal units, as disks are counted.

    >>> decimal_size(1_200_000_000), decimal_size(30_000_000), decimal_size(0)
    ('1.2 GB', '30 MB', '0 kB')
    """
    unit, name = next((u for u in _DECIMAL if size >= u[0]), _DECIMAL[-1])
    return f"{_three_digits(size / unit)} {name}"


def gib_of_mib(mib: int) -> str:
    """Return a GPU's memory in GiB.

    >>> gib_of_mib(3174), gib_of_mib(11968), gib_of_mib(20)
    ('3.1 GiB', '11.7 GiB', '0.02 GiB')
    """
    return f"{mib / 1024:.{1 if mib >= 100 else 2}f} GiB"


def cpu_time(seconds: float) -> str:
    """Return seconds of CPU time, with decimals for short ones only.

    >>> cpu_time(0.0123), cpu_time(12.41), cpu_time(7325.6)
    ('0.01 s', '12.4 s', '7326 s')
    """
    return f"{seconds:.{2 if seconds < 1 else 1 if seconds < 100 else 0}f} s"


def percent(value: float) -> str:
    """Return a percentage.

    >>> percent(43.2)
    '43 %'
    """
    return f"{value:.0f} %"


def _three_digits(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") if value < 10 else f"{value:.0f}"


_BINARY = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_DECIMAL = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))
