"""The contents of jobs' secrets: one file per submitted job, beside the database.

The database, its copies and the log contain no secrets: a job's document has only the name under
which they are stored. They are on disk before the job is (intent before effect), and are removed
with the last job that could need them: an array's elements share theirs.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from secrets import token_hex

from launcher.core.messages.changes import Changes
from launcher.core.model.job import State
from launcher.crashpoints import around
from launcher.errors import InternalError, LauncherError, ReadOnlyState, UserError
from launcher.spec.job_spec import SECRETS_KEY, JobSpec

log = logging.getLogger(__name__)

MOST_OF_A_USER = 64 * 2**20
"""Maximum bytes of one user's stored secrets."""
MOST_AT_ONCE = 256
"""Each is written to the disk before the submit is acknowledged."""
_NAME = re.compile(r"[0-9a-f]{32}")
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

Key = tuple[int, str]
"""The owner's uid, and the name under which the secrets are stored."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """The secrets of one request, to be stored."""

    key: Key
    contents: Mapping[str, bytes] = field(repr=False)


def parted(jobs: Iterable[JobSpec], uid: int | None) -> tuple[list[JobSpec], list[Bundle]]:
    """Return requests with the location of their secrets, and the secrets to store there.

    Jobs of one submit with the same secrets share them. Without a ``uid`` nothing will be stored,
    whatever was sent: for a dry run. Raises ``UserError`` with the secret's name, never its
    content.
    """
    requests: list[JobSpec] = []
    bundles: dict[frozenset[tuple[str, bytes]], Bundle] = {}
    for job in jobs:
        if uid is None or not job.secrets:
            requests.append(job.without_contents())
            continue
        contents = contents_of(job)
        new = Bundle((uid, token_hex(16)), contents)
        bundle = bundles.setdefault(frozenset(contents.items()), new)
        key = SECRETS_KEY + bundle.key[1]
        requests.append(replace(job, secrets=dict.fromkeys(job.secrets, key)))
    if len(bundles) > MOST_AT_ONCE:
        raise UserError(
            f"secrets: more than {MOST_AT_ONCE} jobs of this submit have secrets of their own",
            fix="Use the same secrets for several jobs, or submit fewer at once.",
        )
    return requests, list(bundles.values())


def contents_of(job: JobSpec) -> dict[str, bytes]:
    """Return the contents of a request's secrets; the core checks their names."""
    if len(job.secrets) > job.MOST_SECRETS:
        count = len(job.secrets)
        raise UserError(f"{job.name}: secrets: {count} are more than {job.MOST_SECRETS}")
    return {name: _content(job, name, text) for name, text in job.secrets.items()}


def _content(job: JobSpec, name: str, text: str | None) -> bytes:
    where, most = f"{job.name}: secrets: {name!r}", job.MOST_SECRET_BYTES
    if text is None:
        raise UserError(f"{where} has no content", fix="Only a dry run may omit it.")
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError:
        raise UserError(f"{where} is not in base64") from None
    if len(content) > most:
        raise UserError(f"{where} is larger than {most // 1024} KiB")
    return content


class SecretStore:
    """The files, ``<directory>/<uid>/<name>``, and the live jobs that need them.

    ``store`` and ``read`` block and are thread-safe; all else runs in the event loop's thread.
    """

    def __init__(
        self, directory: Path, later: Callable[[Callable[[], None]], object] = lambda call: call()
    ) -> None:
        """``later`` runs a blocking call in another thread."""
        self._directory, self._later = directory, later
        self._users: dict[Key, set[object]] = {}
        self._of: dict[int, Key] = {}

    # the files

    def store(self, bundles: Sequence[Bundle]) -> None:
        """Write all of these durably, or none; they belong to one user.

        Raises ``ReadOnlyState`` if that fails, ``UserError`` if the user has too many.
        """
        uid = bundles[0].key[0]
        encoded = {bundle.key: _encoded(bundle.contents) for bundle in bundles}
        self._check_room(uid, sum(map(len, encoded.values())))
        written: list[Key] = []
        try:
            place = self._place(uid)
            for key, data in encoded.items():
                _write(place / key[1], data)
                written.append(key)
            _sync(place)
        except OSError as error:
            for key in written:
                self._later(functools.partial(self._remove, key))
            why = error.strerror or type(error).__name__
            text = f"cannot store the jobs' secrets in {self._directory}: {why}"
            raise ReadOnlyState(text) from None

    def read(self, key: Key) -> dict[str, bytes] | None:
        """Return the stored secrets, None if they are gone."""
        if not _NAME.fullmatch(key[1]):
            return None
        try:
            with os.fdopen(os.open(self._path(key), os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
                reply = json.loads(file.read())
            return {str(name): base64.b64decode(text) for name, text in reply.items()}
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, AttributeError):
            log.error("the secrets %s of uid %d are damaged", key[1], key[0])
            return None

    def is_empty(self) -> bool:
        """Whether nothing is stored."""
        return next(self._directory.glob("*/*"), None) is None

    def _path(self, key: Key) -> Path:
        return self._directory / str(key[0]) / key[1]

    def _check_room(self, uid: int, size: int) -> None:
        size += sum(path.stat().st_size for path in self._directory.glob(f"{uid}/*"))
        if size > MOST_OF_A_USER:
            raise UserError(
                f"secrets: those of your waiting and running jobs have {MOST_OF_A_USER >> 20} MiB",
                fix="Wait until some have ended, or submit jobs with the same secrets as an array.",
            )

    def _place(self, uid: int) -> Path:
        """Return a user's directory, created if missing."""
        place = self._directory / str(uid)
        for folder in (self._directory, place):
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o700)
                _sync(folder.parent)
        return place

    def _remove(self, key: Key) -> None:
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as error:  # the next start sweeps
            log.warning(
                "could not remove the secrets %s of uid %d: %s", key[1], key[0], error.strerror
            )

    # users of the secrets

    def take_over(self, live: Iterable[tuple[int, Key]]) -> None:
        """Record the needs of live jobs and remove all other secrets; call it before submits."""
        for job, key in live:
            self.use(job, key)
        left = 0
        for path in self._directory.glob("*/*"):
            key = (int(path.parent.name), path.name) if path.parent.name.isdecimal() else (0, "")
            if key not in self._users:
                path.unlink(missing_ok=True)
                left += 1
        if left:
            log.info("removed secrets that no job needs: %d", left)

    def use(self, job: int, key: Key) -> None:
        """Record that a live job needs these secrets."""
        self._of[job] = key
        self._users.setdefault(key, set()).add(job)

    def has(self, key: Key) -> bool:
        """Whether these secrets are still stored for a job."""
        return key in self._users

    def changed(self, changes: Changes) -> None:
        """Remove secrets needed only by jobs that this durable decision ended."""
        if not self._of:
            return
        for job in changes.jobs.values():
            if job.state is State.DONE and (key := self._of.pop(job.id, None)) is not None:
                self._let_go(key, job.id)

    @contextlib.contextmanager
    def held(self, keys: Iterable[Key]) -> Iterator[None]:
        """Hold these secrets meanwhile; afterwards remove them unless a job needs them.

        If the decision is unknown they stay until the next start.
        """
        token, mine = object(), set(keys)
        for key in mine:
            self._users.setdefault(key, set()).add(token)
        try:
            yield
        except (ReadOnlyState, InternalError):
            raise
        except LauncherError:
            self._let_go_all(mine, token)
            raise
        else:
            self._let_go_all(mine, token)

    def _let_go_all(self, keys: Iterable[Key], user: object) -> None:
        for key in keys:
            self._let_go(key, user)

    def _let_go(self, key: Key, user: object) -> None:
        users = self._users.get(key, set())
        users.discard(user)
        if not users and self._users.pop(key, None) is not None:
            self._remove(key)


def _encoded(contents: Mapping[str, bytes]) -> bytes:
    encoded = {name: base64.b64encode(content).decode() for name, content in contents.items()}
    return json.dumps(encoded).encode()


def _write(path: Path, data: bytes) -> None:
    """Write a new file durably, or leave none."""
    with around("secrets"):
        fd = os.open(path, _NEW, 0o600)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(fd)
        except OSError:
            path.unlink(missing_ok=True)
            raise


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
