"""What the keys of one job say together: the elements of an array, and what does not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from launcher.errors import JobFileError
from launcher.jobfile.values import gpu_spec, signals, volumes
from launcher.jobfile.values.nodes import Scalar
from launcher.spec.gpus import GpuRequest
from launcher.spec.job_spec import ArrayRequest, Mount
from launcher.spec.plain_fields import PLAIN_FIELDS

PARTS = ("env_file", "home", "array", "matrix", "max_parallel")
"""Keys that are not fields of the request by themselves."""

OF_CONTAINERS = {
    "image", "entrypoint", "volumes", "secrets", "shm_size", "user", "network_mode",
    "home", "tmp", "ulimits", "ports", "loopback",
    "policy_profile", "pull_policy", *(each.name for each in PLAIN_FIELDS),
}  # fmt: skip
"""Fields that a command without a container cannot have."""


def problems(fields: Mapping[str, Any], keys: Mapping[str, Scalar]) -> Iterator[JobFileError]:
    """Yield what is wrong with keys that are well by themselves, at the key to change."""
    checks: dict[str, Callable[[Any], None]] = {
        "home": lambda home: _check_home(home, fields.get("volumes", ())),
        "signal": lambda signal: signals.check_time(signal, fields.get("time_limit")),
        "idle_timeout": lambda _: gpu_spec.check_has_gpus(fields.get("gpus") or GpuRequest()),
        "matrix": lambda _: _check_matrix(fields.get("array")),
        "max_parallel": lambda most: _check_parallel(most, fields),
    }
    for name, check in checks.items():
        if name in fields:
            try:
                check(fields[name])
            except ValueError as error:
                yield keys[name].error(f"`{name}`: {error}")


def array_request(fields: Mapping[str, Any]) -> ArrayRequest | None:
    """Return the elements that ``array`` or ``matrix`` ask for, ``max_parallel`` at once."""
    array, matrix, most = (fields.get(name) for name in ("array", "matrix", "max_parallel"))
    if matrix is not None:
        return ArrayRequest(indices=list(range(len(matrix))), matrix=matrix, max_parallel=most)
    if array is None:
        return None
    return ArrayRequest(indices=array.indices, max_parallel=most or array.max_parallel)


def _check_home(home: str, mounts: Sequence[Mount]) -> None:
    if home == "real":
        volumes.check_targets([*mounts, volumes.real_home()])


def _check_matrix(array: ArrayRequest | None) -> None:
    if array is not None:
        raise ValueError("a job is an array or has a matrix, not both: leave one out")


def _check_parallel(most: int, fields: Mapping[str, Any]) -> None:
    if "array" not in fields and "matrix" not in fields:
        raise ValueError(
            "it says how many of an array or a matrix run at once, and this job has neither:"
            " leave it out"
        )
    inline = fields["array"].max_parallel if "array" in fields else None
    if inline not in (None, most):
        raise ValueError(f"{most} is not the %{inline} of `array`: write one of them")
