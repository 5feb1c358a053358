"""Image references by Docker's own rules: registry, repository, tag (distribution/reference)."""

from __future__ import annotations

import re

LONGEST = 600
"""In characters: a name has 255 at most, a tag 128, a digest of SHA-512 135. Every element of an
array has its image in its row."""
# The grammar of github.com/distribution/reference: nothing that fits it can leave a URL's path.
_HOST = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?:(?:{_HOST}(?:\.{_HOST})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?/)?"
    rf"{_PART}(?:/{_PART})*"
    r"(?::\w[\w.-]{0,127})?"
    r"(?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?",
    re.ASCII,
)
_ID = re.compile(r"sha256:[0-9a-f]+|[0-9a-f]{64}", re.ASCII)

DOCKER_HUB = "docker.io"
_ALIASES = ("index.docker.io", "registry-1.docker.io")
_LIBRARY = "library"


def is_reference(text: str) -> bool:
    """Whether a text is an image reference or id, and so may be part of a request to Docker (I8).

    >>> is_reference("localhost:5000/team/app:1"), is_reference("../containers/x")
    (True, False)
    """
    return len(text) <= LONGEST and _REFERENCE.fullmatch(text) is not None


def is_id(text: str) -> bool:
    """Whether a text may be the id of an image. A shorter one is a name as well."""
    return _ID.fullmatch(text) is not None


def split(reference: str) -> tuple[str, str]:
    """Return (repository, tag or digest); Docker's default tag where none is given.

    >>> split("localhost:5000/team/app"), split("a:1@sha256:00")
    (('localhost:5000/team/app', 'latest'), ('a:1', 'sha256:00'))
    """
    if "@" in reference:
        repository, _, digest = reference.partition("@")
        return repository, digest
    head, slash, last = reference.rpartition("/")
    name, colon, tag = last.partition(":")
    return f"{head}{slash}{name}", tag if colon else "latest"


def last_name(reference: str) -> str:
    """Return the last part of the repository.

    >>> last_name("nvcr.io/nvidia/pytorch:25.01@sha256:00")
    'pytorch'
    """
    return reference.partition("@")[0].rpartition("/")[2].partition(":")[0]


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
