"""Image references by Docker's own rules: registry, repository, tag (distribution/reference)."""

from __future__ import annotations

DOCKER_HUB = "docker.io"
_ALIASES = ("index.docker.io", "registry-1.docker.io")
_LIBRARY = "library"


def registry_of(reference: str) -> str:
    """Return the registry of an image reference.

    >>> registry_of("busybox"), registry_of("localhost:5000/a")
    ('docker.io', 'localhost:5000')
    """
    first, slash, _ = reference.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return DOCKER_HUB if first in _ALIASES else first
    return DOCKER_HUB


def repository_of(reference: str) -> str:
    """Return registry and repository in full, without tag and digest.

    >>> repository_of("busybox:1"), repository_of("index.docker.io/nvidia/cuda@sha256:00")
    ('docker.io/library/busybox', 'docker.io/nvidia/cuda')
    """
    name = reference.partition("@")[0]
    registry = registry_of(name)
    host = name.partition("/")[0]
    path = name[len(host) + 1 :] if host in (registry, *_ALIASES) else name
    head, slash, last = path.rpartition("/")
    path = f"{head}{slash}{last.partition(':')[0]}"
    if registry == DOCKER_HUB and "/" not in path:
        path = f"{_LIBRARY}/{path}"
    return f"{registry}/{path}"


def tag_of(reference: str) -> str | None:
    """Return the tag, ``latest`` where none is given, None for a reference by digest.

    >>> tag_of("localhost:5000/a"), tag_of("a:1@sha256:00"), tag_of("a:1")
    ('latest', None, '1')
    """
    if "@" in reference:
        return None
    _, colon, tag = reference.rpartition("/")[2].partition(":")
    return tag if colon else "latest"


def full_name(reference: str) -> str:
    """Return a reference with nothing left to guess: registry, path, and the tag or the digest.

    >>> full_name("busybox"), full_name("a/b:1@sha256:00")
    ('docker.io/library/busybox:latest', 'docker.io/a/b@sha256:00')
    """
    tag = tag_of(reference)
    end = f":{tag}" if tag is not None else f"@{reference.partition('@')[2]}"
    return f"{repository_of(reference)}{end}"


def is_allowed(reference: str, allowed: tuple[str, ...]) -> bool:
    """Whether a reference is of one of these repositories: ``host/path``, ``host/path/*``, ``*``.

    >>> is_allowed("nvcr.io/nvidia/pytorch:25.01", ("nvcr.io/nvidia/*",))
    True
    """
    repository = repository_of(reference)
    return any(
        pattern in ("*", repository)
        or (pattern.endswith("/*") and repository.startswith(pattern[:-1]))
        for pattern in allowed
    )
