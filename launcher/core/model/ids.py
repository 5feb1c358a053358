"""Names derived from identity: they make retries safe, because looking tells what happened."""

from __future__ import annotations

LABEL_STORE = "launcher.store"
LABEL_JOB = "launcher.job"
LABEL_ATTEMPT = "launcher.attempt"
LABEL_SLICES = "launcher.slices"
LABEL_UID = "launcher.uid"
LABEL_PORTS = "launcher.ports"
"""A container's ports to forward, and "loopback": 8888,6006,loopback."""
LABEL_SECRETS = "launcher.secrets"


def container_prefix(store: str) -> str:
    """Return how the names of all of a store's containers begin."""
    return f"launch-{store}-"


def container_name(store: str, job: int, attempt: int) -> str:
    """Return the one name the container of this attempt can have."""
    return f"{container_prefix(store)}{job}-{attempt}"


def host_name(store: str, job: int, attempt: int) -> str:
    """Return the one name that the cgroup of a host job's attempt can have.

    >>> is_host(host_name("feed", 12, 1)), is_host(container_name("feed", 12, 1))
    (True, False)
    """
    return f"host-{store}-{job}-{attempt}"


def attempt_of_host_name(name: str) -> tuple[int, int]:
    """Return (job, attempt) of the name of a host job's attempt.

    >>> attempt_of_host_name(host_name("feed", 12, 1))
    (12, 1)
    """
    _, _, job, attempt = name.split("-")
    return int(job), int(attempt)


def is_host(name: str) -> bool:
    """Whether an attempt's name is that of a host job, which has no container."""
    return name.startswith("host-")


def attempt_of_name(name: str) -> tuple[int, int] | None:
    """Return (job, attempt) of a container's name, None where it is not one of ours.

    >>> attempt_of_name("launch-feed-12-1"), attempt_of_name("web-1")
    ((12, 1), None)
    """
    parts = name.split("-")
    if len(parts) != 4 or parts[0] != "launch" or not (parts[2] + parts[3]).isdecimal():
        return None
    return int(parts[2] or 0), int(parts[3] or 0)


def labels(store: str, job: int, attempt: int, slices: tuple[str, ...], uid: int) -> dict[str, str]:
    """Return the labels from which leases can be rebuilt when the database is gone."""
    return {
        LABEL_STORE: store,
        LABEL_JOB: str(job),
        LABEL_ATTEMPT: str(attempt),
        LABEL_SLICES: ",".join(slices),
        LABEL_UID: str(uid),
    }
