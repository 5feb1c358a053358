"""The client: one method per request to the daemon, typed as in ``launcher.wire``."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from launcher import errors, wire
from launcher.client.decode import decode, decode_list
from launcher.client.http import CutStream, Transport, must_be_short, query, quote
from launcher.client.sockets import socket_candidates
from launcher.spec.bounds import MOST_ITEMS

if TYPE_CHECKING:
    from launcher.client.image import Image
    from launcher.client.layout import Layout
    from launcher.client.queue import Queue
    from launcher.client.terminal import Terminal

POLL_SECONDS = 20.0
RECONNECT_SECONDS = 60.0
REPAIR_SECONDS = 180.0
MOST_ROUNDS = 1000
"""In this many rounds of a few seconds a daemon deletes some million jobs."""
BACKUP_SECONDS = 600.0
"""The daemon copies its database before it sends the first byte."""
_RETRY_SECONDS = 0.1
REFS_IN_A_QUERY = 100
"""Maximum references in a URL, whose line is limited to 8190 bytes."""

Ref = int | str


class Client:
    """A connection to the daemon. Every method is one request and raises ``LauncherError``.

    ``socket`` is the path of the daemon's socket; without it ``LAUNCHER_SOCKET``, the system's and
    the user's own are tried. ``notice`` receives messages that are not errors: a version
    difference, or a wait for the daemon.
    """

    def __init__(
        self,
        socket: str | None = None,
        timeout: float = 30,
        *,
        notice: Callable[[str], None] | None = None,
        reconnect: float = RECONNECT_SECONDS,
    ) -> None:
        self.timeout = timeout
        self.reconnect = reconnect
        self.wakeup: int | None = None
        """For programs that handle signals while they follow: see ``HttpConnection.patient``."""
        self._transport = Transport([socket] if socket else socket_candidates(), notice)

    @property
    def socket(self) -> str | None:
        """The socket that answered; None before the first reply."""
        return self._transport.socket

    @property
    def daemon_version(self) -> str | None:
        """The daemon's version; None before the first reply."""
        return self._transport.daemon_version

    def status(self) -> wire.Status:
        """Return the daemon's health."""
        return decode(wire.Status, self._get("/v1/status"))

    def login(self, registry: str, auth: wire.RegistryAuth) -> wire.LoginReply:
        """Give the daemon credentials for a registry; the daemon checks them with the registry."""
        request = wire.LoginRequest(registry=registry, auth=auth)
        return decode(wire.LoginReply, self._post("/v1/login", dataclasses.asdict(request)))

    def publish(self, images: Sequence[str] | None) -> list[wire.ImageView]:
        """Publish these images to all users; None: all images without a known owner."""
        request = wire.PublishRequest(images=None if images is None else list(images))
        reply = self._post("/v1/images/publish", dataclasses.asdict(request))
        return decode_list(wire.ImageView, reply)

    def submit(
        self,
        jobs: Sequence[wire.JobSpec],
        credentials: Mapping[str, wire.RegistryAuth] | None = None,
        *,
        dry_run: bool = False,
    ) -> list[wire.JobView]:
        """Queue all of these jobs, or none; with ``dry_run`` only check them, without secrets."""
        sent = [job.without_contents() for job in jobs] if dry_run else list(jobs)
        request = wire.SubmitRequest(
            jobs=sent, credentials=dict(credentials or {}), dry_run=dry_run
        )
        try:
            reply = self._post("/v1/jobs", dataclasses.asdict(request))
        except CutStream as error:
            error.fix = (
                "`launch ps` shows whether the jobs were queued before the daemon went away."
            )
            raise
        return decode_list(wire.JobView, reply)

    def jobs(
        self,
        refs: Sequence[Ref] = (),
        *,
        all: bool = False,
        user: str | None = None,
        state: str | None = None,
        name: str | None = None,
        after: int | None = None,
        most: int | None = None,
    ) -> list[wire.JobView]:
        """Return the live jobs, with ``all`` the ended ones too; or the named jobs.

        Only those of ``user`` (a name or ``me``), in ``state`` (words with commas; outcomes include
        ended jobs) and with names that match ``name`` (a pattern with ``*`` and ``?``). Without
        ``refs``, ``after`` and ``most`` give a page: so many jobs with higher ids than ``after``.
        """
        filters = (
            ("user", user), ("state", state), ("name", name), ("after", after), ("most", most)
        )  # fmt: skip
        chosen = [(key, str(value)) for key, value in filters if value is not None]
        result: dict[int, wire.JobView] = {}
        for first in range(0, max(1, len(refs)), REFS_IN_A_QUERY):
            some = refs[first : first + REFS_IN_A_QUERY]
            pairs = [("all", "1" if all else "0"), *chosen, *(("ref", str(ref)) for ref in some)]
            views = decode_list(wire.JobView, self._get(f"/v1/jobs?{query(pairs)}"))
            result |= {view.id: view for view in views}
        return list(result.values())

    def head(self, most: int = 50) -> wire.QueueHead:
        """Return the running jobs, the first waiting ones, and their numbers."""
        return decode(wire.QueueHead, self._get(f"/v1/queue/head?most={most}"))

    def show(self, ref: Ref) -> wire.JobDetail:
        """Return all details of one job."""
        return decode(wire.JobDetail, self._get(_job(ref)))

    def docker_command(self, ref: Ref) -> wire.DockerCommand:
        """Return the ``docker run`` that does the same as one job."""
        return decode(wire.DockerCommand, self._get(f"{_job(ref)}/docker"))

    def cancel(self, ref: Ref, *, now: bool = False) -> list[wire.JobView]:
        """End a job, or all jobs of a range or array; return them. ``now``: no grace period."""
        return decode_list(wire.JobView, self._post(f"{_job(ref)}/cancel{'?now=1' if now else ''}"))

    def hold(self, ref: Ref) -> list[wire.JobView]:
        """Keep pending jobs from starting."""
        return decode_list(wire.JobView, self._post(f"{_job(ref)}/hold"))

    def release(self, ref: Ref) -> list[wire.JobView]:
        """Release held jobs."""
        return decode_list(wire.JobView, self._post(f"{_job(ref)}/release"))

    def requeue(self, ref: Ref) -> list[wire.JobView]:
        """Stop running jobs and queue them again, under the same ids."""
        return decode_list(wire.JobView, self._post(f"{_job(ref)}/requeue"))

    def retry(self, refs: Sequence[Ref], *, failed: bool = False) -> list[wire.JobView]:
        """Queue ended jobs again, together, with the dependencies between them."""
        request = wire.RetryJobs(refs=[str(ref) for ref in refs], failed=failed)
        return decode_list(wire.JobView, self._post("/v1/jobs/retry", dataclasses.asdict(request)))

    def edit(self, ref: Ref, request: wire.EditRequest) -> list[wire.JobView]:
        """Change pending jobs, or the time limit of running ones."""
        reply = self._post(f"{_job(ref)}/edit", dataclasses.asdict(request))
        return decode_list(wire.JobView, reply)

    def cancel_all(self, select: wire.SelectRequest) -> list[wire.JobView]:
        """End all selected live jobs; return them. Many references take several requests."""
        ended: dict[int, wire.JobView] = {}
        none: errors.NoSuchJob | None = None
        for first in range(0, max(1, len(select.refs)), MOST_ITEMS):
            some = dataclasses.replace(select, refs=select.refs[first : first + MOST_ITEMS])
            try:
                reply = self._post("/v1/jobs/cancel", dataclasses.asdict(some))
            except errors.NoSuchJob as error:
                none = error
            else:
                ended |= {view.id: view for view in decode_list(wire.JobView, reply)}
        if none is not None and not ended:
            raise none
        return list(ended.values())

    def signal(self, ref: Ref, signal: str) -> wire.JobView:
        """Send a signal, by name, to a running job's container."""
        body = dataclasses.asdict(wire.SignalRequest(signal=signal))
        return decode(wire.JobView, self._post(f"{_job(ref)}/signal", body))

    def wait(self, ref: Ref, timeout: float | None = None) -> wire.JobView:
        """Return the job when it has its outcome; after ``timeout`` seconds, its state then.

        Waits while the daemon restarts, because its jobs go on, and while it refuses for overload.
        """
        end = math.inf if timeout is None else time.monotonic() + timeout
        patience = _Patience(self)
        while True:
            poll = max(0.0, min(POLL_SECONDS, end - time.monotonic()))
            try:
                reply = self._transport.json(
                    "GET", f"{_job(ref)}/wait?timeout={poll:g}", timeout=poll + self.timeout
                )
            except (errors.DaemonUnreachable, errors.RecoveryMode) as error:
                patience.after(error)
                continue
            except errors.TooMany as error:
                must_be_short(error)
                if time.monotonic() >= end:
                    raise
                continue
            patience.renew()
            job = decode(wire.JobView, reply)
            if job.outcome is not None or time.monotonic() >= end:
                return job

    def logs(
        self,
        ref: Ref,
        *,
        follow: bool = False,
        tail: int | None = None,
        attempt: int | None = None,
        since_ns: int = 0,
        until_ns: int | None = None,
    ) -> Iterator[wire.Frame]:
        """Yield a job's output, frame by frame; with ``follow`` until it ends.

        Limited to output from ``since_ns`` on and before ``until_ns`` (nanoseconds since 1970).
        """
        pairs = [("follow", str(int(follow)))]
        pairs += [("tail", str(tail))] if tail is not None else []
        pairs += [("attempt", str(attempt))] if attempt is not None else []
        pairs += [("since_ns", str(since_ns))] if since_ns else []
        for frame in self._resumed(f"{_job(ref)}/logs", pairs):
            if frame.stream == wire.END:
                return
            if frame.stream == wire.NOTE or since_ns <= frame.time_ns:
                if until_ns is not None and frame.time_ns >= until_ns:
                    return
                yield frame

    def follow(self, ref: Ref, *, output: bool = True) -> Iterator[wire.Frame]:
        """Yield a job's changes (EVENT) and output until END, which carries its final view.

        If the daemon goes away, waits for it and resumes after the last received frame of output:
        nothing is repeated or lost.
        """
        return self._resumed(f"{_job(ref)}/follow", [] if output else [("events", "1")])

    def _resumed(self, path: str, pairs: list[tuple[str, str]]) -> Iterator[wire.Frame]:
        """Yield a stream's frames up to END, over as many connections as needed."""
        patience = _Patience(self)
        position, seen = "", 0
        while True:
            since = [("position", position), ("skip", str(seen))] if position else []
            again = [pair for pair in pairs if not (position and pair[0] == "tail")]
            options = query([*again, *since])
            try:
                for frame in self._transport.frames(
                    f"{path}?{options}" if options else path,
                    timeout=self.timeout,
                    wakeup=self.wakeup,
                ):
                    patience.renew()
                    if frame.stream == wire.POSITION:
                        position, seen = frame.data.decode("ascii"), 0
                        continue
                    seen += frame.stream not in (wire.EVENT, wire.END)
                    yield frame
                    if frame.stream == wire.END:
                        return
                raise CutStream("the daemon went away in the middle of a stream")
            except (errors.DaemonUnreachable, errors.RecoveryMode) as error:
                patience.after(error)
            except errors.TooMany as error:
                must_be_short(error)

    def slices(self) -> list[wire.SliceView]:
        """Return every slice of the machine and its use."""
        return decode_list(wire.SliceView, self._get("/v1/slices"))

    @property
    def queue(self) -> Queue:
        """Requests about the queue: its order, reasons, forecasts, reservations."""
        from launcher.client.queue import Queue

        return Queue(self._transport.json, self.timeout)

    @property
    def image(self) -> Image:
        """Requests about images that users loaded."""
        from launcher.client.image import Image

        return Image(self._transport, self.timeout)

    @property
    def terminal(self) -> Terminal:
        """Requests about the terminals of running jobs."""
        from launcher.client.terminal import Terminal

        return Terminal(self._transport, self.timeout)

    @property
    def layout(self) -> Layout:
        """Requests about the layout of the GPUs."""
        from launcher.client.layout import Layout

        return Layout(self._transport.json, self.timeout)

    def prune(
        self, *, older_than: float | None = None, logs: bool = False, dry_run: bool = False
    ) -> wire.PruneReply:
        """Delete old jobs of the caller, or only their logs; for an admin, of all users.

        ``older_than`` is in seconds; None: the limits in ``[history]`` of launcher.toml.
        """
        request = wire.PruneRequest(older_than=older_than, logs=logs, dry_run=dry_run)
        jobs = 0
        for _ in range(MOST_ROUNDS):  # the daemon deletes a batch per request
            reply = decode(wire.PruneReply, self._post("/v1/prune", dataclasses.asdict(request)))
            jobs += reply.jobs
            if not reply.more:
                break
        return dataclasses.replace(reply, jobs=jobs)

    def disk(self) -> list[wire.UserDisk]:
        """Return the disk space of the caller's jobs and cache; for an admin, of all users."""
        return decode_list(wire.UserDisk, self._get("/v1/disk"))

    def clear_cache(self, user: str | None = None) -> wire.ClearCacheReply:
        """Empty the ~/.cache of the caller's jobs; as an admin also that of another user."""
        return decode(wire.ClearCacheReply, self._post("/v1/cache/clear", {"user": user}))

    def backup(self) -> Iterator[bytes]:
        """Yield a consistent copy of the daemon's database; raises ``CutStream``."""
        for frame in self._transport.frames("/v1/backup", timeout=BACKUP_SECONDS, method="POST"):
            if frame.stream == wire.END:
                return
            yield frame.data
        raise CutStream("the daemon went away in the middle of the copy")

    def audit(
        self, *, user: str | None = None, since: float | None = None, limit: int = 100
    ) -> list[wire.AuditView]:
        """Return the last lines of the audit log, newest last; ``since`` is an age in seconds."""
        pairs = [("most", str(limit))]
        pairs += [("user", user)] if user is not None else []
        pairs += [("since", str(math.ceil(since)))] if since is not None else []
        return decode_list(wire.AuditView, self._get(f"/v1/audit?{query(pairs)}"))

    def doctor(self) -> list[wire.Check]:
        """Return the daemon's checks of itself, Docker and the GPUs."""
        return decode_list(wire.Check, self._get("/v1/doctor"))

    def doctor_fix(self) -> list[wire.Check]:
        """Make the daemon's harmless repairs; return them, then its checks."""
        timeout = max(self.timeout, REPAIR_SECONDS)
        return decode_list(
            wire.Check, self._transport.json("POST", "/v1/doctor/fix", timeout=timeout)
        )

    def stop(self, *, drain: bool = False) -> wire.Status:
        """Stop the daemon; its jobs go on. With ``drain`` it stops once no job runs."""
        return decode(wire.Status, self._post("/v1/stop?drain=1" if drain else "/v1/stop"))

    def _get(self, path: str) -> Any:
        return self._transport.json("GET", path, timeout=self.timeout)

    def _post(self, path: str, body: Any = None) -> Any:
        return self._transport.json("POST", path, body, timeout=self.timeout)


class _Patience:
    """Limits the wait for a daemon that answered once and went away."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._until: float | None = None
        self._answered = False

    def renew(self) -> None:
        """Record that the daemon answered."""
        self._until, self._answered = None, True

    def after(self, error: errors.DaemonUnreachable | errors.RecoveryMode) -> None:
        """Wait a little before the next try, or give up by raising ``error``.

        A daemon in recovery mode is waited for only if it answered before.
        """
        if isinstance(error, errors.RecoveryMode) and not self._answered:
            raise error
        transport = self._client._transport
        now = time.monotonic()
        if transport.socket is None:
            raise error
        if self._until is None:
            self._until = now + self._client.reconnect
            transport.notice("waiting for the daemon, which does not answer; its jobs go on")
        if now >= self._until:
            raise error
        time.sleep(_RETRY_SECONDS)


def _job(ref: Ref) -> str:
    return f"/v1/jobs/{quote(str(ref))}"
