"""What completes a word, most of it from the daemon: ids of jobs, profiles, slices, images.

A Tab must never hang, print, or start a daemon: where the daemon does not answer in time, nothing
completes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from launcher.client import Client
from launcher.errors import LauncherError, NoSuchJob
from launcher.text.safe_text import safe
from launcher.wire import JobView, SliceView
from launcher.wire.history import EVENT_TYPES

SECONDS = 1.0
"""How long a user waits for an answer."""
NEWEST = 100
"""This many of the newest jobs, and of those that have not ended, are offered."""
MOST = 200
"""The maximum number of values."""
LONGEST_HELP = 60
USE_METRIC = "launcher_slice_gib_seconds"
_PLAIN = re.compile(r"[\w.:/@+%,=\[\]-]+")
"""Bash puts a value on the command line without quotes."""

Values = Iterable[tuple[str, str]]
"""Pairs of a value and its description, which may be empty."""


def values(kind: str, incomplete: str, daemon: str | None = None) -> list[tuple[str, str]]:
    """Return what completes a word of this kind, a key of ``KINDS`` or ``LOCAL``.

    ``daemon`` is the address that ``-H`` names, if any.
    """
    try:
        pairs = LOCAL[kind]() if kind in LOCAL else KINDS[kind](_client(daemon))
        fit = (pair for pair in pairs if pair[0].startswith(incomplete))
        return [
            (value, safe(text)[:LONGEST_HELP])
            for value, text in islice(dict(fit).items(), MOST)
            if _PLAIN.fullmatch(value)
        ]
    except (LauncherError, OSError):
        return []


def _client(daemon: str | None) -> Client:
    client = Client(daemon, timeout=SECONDS, reconnect=0.0)
    if client.ssh_host is not None:
        client.ssh_host.limit_s = SECONDS
    return client


def _live_jobs(client: Client) -> Values:
    own = client.jobs(user="me", most=NEWEST)
    return _named(own or client.jobs(most=NEWEST))


def _all_jobs(client: Client) -> Values:
    yield from _named(_newest(client))
    yield from _live_jobs(client)


def _newest(client: Client) -> list[JobView]:
    """Return the caller's own jobs of late, the newest first."""
    try:
        newest = client.show("last").job.id
    except NoSuchJob:  # none yet
        return []
    after = max(newest - NEWEST, 0)
    return client.jobs(all=True, user="me", after=after, most=NEWEST)[::-1]


def _named(jobs: Iterable[JobView]) -> Iterator[tuple[str, str]]:
    for job in jobs:
        if job.array:
            yield str(job.array["id"]), f"array {job.name or job.image or ''}"
        else:
            yield job.ref, f"{job.word.lower()} {job.name or job.image or ''}"
        if job.name:
            yield job.name, "the newest of this name"
    yield "last", "your newest job"


def _slices(client: Client) -> Values:
    return _slices_of(client.slices())


def _slices_and_gpus(client: Client) -> Values:
    slices = client.slices()
    return [*_gpus_of(slices), *_slices_of(slices)]


def _gpus(client: Client) -> Values:
    return _gpus_of(client.slices())


def _slices_of(slices: Sequence[SliceView]) -> Iterator[tuple[str, str]]:
    for each in slices:
        yield each.uuid, f"{each.profile or ''} on GPU {each.gpu_index}, {each.state}"


def _gpus_of(slices: Sequence[SliceView]) -> Iterator[tuple[str, str]]:
    count = Counter(each.gpu_index for each in slices if each.gpu_index is not None)
    for index, number in sorted(count.items()):
        yield str(index), f"GPU {index} with {number} slices"


def _profiles(client: Client) -> Values:
    slices = client.slices()
    free = Counter(each.profile for each in slices if each.state == "free")
    for profile, count in Counter(each.profile for each in slices if each.profile).items():
        yield str(profile), f"{free[profile]} of {count} free"


def _images(client: Client) -> Values:
    yield from _own_images(client)
    for job in _newest(client):
        if job.image:
            yield job.image, "used before"


def _own_images(client: Client) -> Values:
    for own in client.image.all():
        yield own.name, "your own"


def _users(client: Client) -> Values:
    """Yield who used most lately, as the metrics name them, and the caller."""
    yield "me", "your own"
    for family in client.metrics():
        if family.name == USE_METRIC:
            for sample in family.samples:
                yield sample.labels["user"], ""


def _reservations(client: Client) -> Values:
    for each in client.queue.reservations():
        yield each.name, f"for {each.user or each.group or 'interactive jobs'}"


def _event_types() -> Values:
    for kind in ("job", "array", "slice", "drain", "layout", "docker", "gpu"):
        yield kind, f"all events of type {kind}"
    for name in EVENT_TYPES:
        yield name, ""


def _topics() -> Values:
    from importlib import resources

    pages = resources.files("launcher").joinpath("manual").iterdir()
    return sorted((page.name[:-3], "") for page in pages if page.name.endswith(".md"))


def _job_file_keys() -> Values:
    from launcher.jobfile.reading.explained import explained, stored_schema

    return ((each.key, each.meaning) for each in explained(stored_schema()).values())


KINDS: dict[str, Callable[[Client], Values]] = {
    "job": _all_jobs,
    "live job": _live_jobs,
    "slice": _slices,
    "slice or GPU": _slices_and_gpus,
    "GPU": _gpus,
    "profile": _profiles,
    "image": _images,
    "own image": _own_images,
    "user": _users,
    "reservation": _reservations,
}
LOCAL: dict[str, Callable[[], Values]] = {
    "key": _job_file_keys,
    "topic": _topics,
    "event type": _event_types,
}
"""What needs no daemon."""
