"""The part of the client about the daemon, the machine, and what they store."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

from launcher import wire
from launcher.client.base import ClientBase
from launcher.client.decode import decode, decode_list
from launcher.client.http import CutStream, query

REPAIR_SECONDS = 180.0
MOST_ROUNDS = 1000
"""In this many rounds of a few seconds a daemon deletes some million jobs."""
BACKUP_SECONDS = 600.0
"""The daemon copies its database before it sends the first byte."""


class MachineRequests(ClientBase):
    """The daemon's health, its machine, and what it stores."""

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

    def web_token(self) -> wire.WebToken:
        """Return a token that logs the caller in to the pages of ``launch web``, once."""
        return decode(wire.WebToken, self._post("/v1/web/token"))

    def web_session(self, token: str) -> wire.WebSession:
        """Exchange a user's token for a session; for the user of ``launch web`` alone."""
        body = dataclasses.asdict(wire.WebLogin(token=token))
        return decode(wire.WebSession, self._post("/v1/web/session", body))

    def web_caller(self) -> wire.WebCaller:
        """Return the user of the session in use; without one, the caller."""
        return decode(wire.WebCaller, self._get("/v1/web/session"))

    def web_logout(self) -> wire.WebCaller:
        """End the session in use."""
        return decode(wire.WebCaller, self._post("/v1/web/logout"))

    def metrics(self) -> list[wire.MetricFamily]:
        """Return the daemon's metrics; ``launch web`` shows them to Prometheus."""
        return decode_list(wire.MetricFamily, self._get("/v1/metrics"))

    def slices(self) -> list[wire.SliceView]:
        """Return every slice of the machine and its use."""
        return decode_list(wire.SliceView, self._get("/v1/slices"))

    def changed(self, since: int | None = None, timeout: float = 20.0) -> int:
        """Return a number once it is not ``since``, or after ``timeout`` seconds (at most 30).

        It grows, at most four times a second, when jobs, slices or GPUs may have changed. Without
        ``since`` the reply comes at once.
        """
        pairs = [("timeout", f"{timeout:g}")]
        pairs += [("since", str(since))] if since is not None else []
        reply = self._transport.json(
            "GET", f"/v1/changes/wait?{query(pairs)}", timeout=timeout + self.timeout
        )
        return decode(wire.ChangeCount, reply).count

    def events(
        self,
        after: int | None = None,
        *,
        since: float | None = None,
        most: int = 1000,
        timeout: float = 0.0,
    ) -> wire.EventPage:
        """Return the events after number ``after``, or since a time (seconds since 1970).

        Where there are none it waits for ``timeout`` seconds, at most 30. Without ``after`` and
        ``since`` the page is empty; its ``next`` is the number to go on after.
        """
        pairs = [("most", str(most)), ("timeout", f"{timeout:g}")]
        pairs += [("after", str(after))] if after is not None else []
        pairs += _period(since)
        path = f"/v1/events?{query(pairs)}"
        return decode(
            wire.EventPage, self._transport.json("GET", path, timeout=timeout + self.timeout)
        )

    def notifications(
        self, after: int | None = None, *, since: float | None = None, timeout: float = 0.0
    ) -> wire.NotificationPage:
        """Return the notifications after event ``after``, or since a time (seconds since 1970).

        Only for `launch web`, which sends them. Where there are none it waits for ``timeout``
        seconds, at most 30.
        """
        pairs = [("timeout", f"{timeout:g}")]
        pairs += [("after", str(after))] if after is not None else []
        pairs += _period(since)
        path = f"/v1/notifications?{query(pairs)}"
        reply = self._transport.json("GET", path, timeout=timeout + self.timeout)
        return decode(wire.NotificationPage, reply)

    def report_notifications(self, failures: Sequence[wire.NotifyFailure]) -> wire.NotifyReceipt:
        """Tell the daemon which notifications could not be sent; at most 100 at once."""
        report = wire.NotifyReport(failures=list(failures))
        reply = self._post("/v1/notifications/report", dataclasses.asdict(report))
        return decode(wire.NotifyReceipt, reply)

    def notify(self, targets: Sequence[wire.NotifyTarget] | None = None) -> wire.NotifyView:
        """Return the caller's targets for all jobs; with ``targets``, set them before."""
        if targets is None:
            return decode(wire.NotifyView, self._get("/v1/notify"))
        request = wire.NotifyRequest(targets=list(targets))
        return decode(wire.NotifyView, self._post("/v1/notify", dataclasses.asdict(request)))

    def notify_test(self) -> wire.NotifyView:
        """Send a notification to the caller's targets; return them."""
        return decode(wire.NotifyView, self._post("/v1/notify/test"))

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

    def usage(
        self, *, since: float | None = None, until: float | None = None, by: str = "user"
    ) -> wire.UsageReport:
        """Return what jobs used in a period (seconds since 1970; without ``since`` 7 days).

        ``by`` is user, group, profile, image, name or day; image and name only of the caller's own
        jobs, unless they are an admin.
        """
        pairs = [("by", by), *_period(since, until)]
        return decode(wire.UsageReport, self._get(f"/v1/usage?{query(pairs)}"))

    def jobs_used(
        self,
        *,
        since: float | None = None,
        until: float | None = None,
        after: int = 0,
        user: str | None = None,
    ) -> list[wire.JobUsage]:
        """Return what the next 1000 jobs by id used that ran in a period: the caller's.

        For an admin everybody's, or those of ``user``. Go on after the last id.
        """
        pairs = [("after", str(after)), *_period(since, until)]
        pairs += [("user", user)] if user is not None else []
        return decode_list(wire.JobUsage, self._get(f"/v1/usage/jobs?{query(pairs)}"))

    def clear_cache(self, user: str | None = None) -> wire.ClearCacheReply:
        """Empty the ~/.cache of the caller's jobs; as an admin also that of another user."""
        reply = self._post("/v1/cache/clear", {"user": user})
        return decode(wire.ClearCacheReply, reply)

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


def _period(since: float | None, until: float | None = None) -> list[tuple[str, str]]:
    """Return the parameters of a period of whole seconds that has all of the one that is meant."""
    pairs = [("since", str(int(since)))] if since is not None else []
    return pairs + ([("until", str(math.ceil(until)))] if until is not None else [])
