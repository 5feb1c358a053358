"""The size of a submit's jobs in the database, as far as the submitter determines it."""

from __future__ import annotations

import json
from collections.abc import Iterator

from launcher.core.messages.requests import NewJob, Submitted
from launcher.core.model.need import need_of
from launcher.spec.job_spec import JobSpec

DEPENDENCY_BYTES = 40
"""One dependency: the other job's id and its required outcome, in two columns."""


def kept_bytes(event: Submitted) -> list[int]:
    """Return the approximate size of each job of a submit in bytes, in order."""
    return list(sizes_of(event))


def sizes_of(event: Submitted) -> Iterator[int]:
    """Yield ``kept_bytes`` job by job.

    An array's template counts once: each of its elements has an equal share.
    """
    sizes = [0] * len(event.arrays)
    for new in event.jobs:
        if new.element is not None:
            sizes[new.element.array] += 1
    shares = [
        -(-(_size(a.template.document) + _size(a.indices)) // max(1, size))
        for a, size in zip(event.arrays, sizes, strict=True)
    ]
    last: tuple[JobSpec, int] | None = None
    for new in event.jobs:
        if last is None or last[0] is not new.spec:  # elements of an array often share a spec
            last = (new.spec, _columns(new.spec))
        yield last[1] + _own(new) + (shares[new.element.array] if new.element else 0)


def document_bytes(document: str) -> int:
    """Return the size of a job from its document only."""
    return _size(document)


def _own(new: NewJob) -> int:
    """Return a job's own size: its document or values, and its dependencies."""
    values = dict(new.element.values) if new.element is not None else None
    waits = (len(new.beside) + len(new.after)) * DEPENDENCY_BYTES
    return waits + _size(new.document) + (len(json.dumps(values)) if values else 0)


def _columns(spec: JobSpec) -> int:
    """Return the size of the columns in a row that repeat parts of the request."""
    need, on = need_of(spec), spec.retries.on if spec.retries is not None else ()
    texts = (spec.name, spec.image, need.profile or "", *need.uuids, *on)
    return sum(map(_size, texts))


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
