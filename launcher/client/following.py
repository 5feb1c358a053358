"""The part of the client that waits for jobs and reads their output."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence

from launcher import errors, wire
from launcher.client.base import ClientBase, Ref, job_path
from launcher.client.decode import decode
from launcher.client.http import CutStream, must_be_short, query

POLL_SECONDS = 20.0
RETRY_SECONDS = 0.1
"""The first pause before another try; each next one is twice as long."""
LONGEST_RETRY_SECONDS = 0.5


class Following(ClientBase):
    """Waits for jobs and reads their output, also while the daemon restarts."""

    def wait(self, ref: Ref, timeout: float | None = None) -> wire.JobView:
        """Return the job when it has its outcome; after ``timeout`` seconds, its state then.

        Waits while the daemon restarts, because its jobs go on, and while it refuses for overload.
        """
        end = math.inf if timeout is None else time.monotonic() + timeout
        patience = Patience(self)
        while True:
            poll = max(0.0, min(POLL_SECONDS, end - time.monotonic()))
            try:
                reply = self._transport.json(
                    "GET", f"{job_path(ref)}/wait?timeout={poll:g}", timeout=poll + self.timeout
                )
            except (errors.DaemonUnreachable, errors.RecoveryMode) as error:
                time.sleep(patience.after(error))
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
        stream = OutputStream(ref, "logs", log_query(follow, tail, attempt, since_ns))
        for frame in self._resumed(stream):
            if frame.stream == wire.END:
                return
            if frame.stream == wire.NOTE or since_ns <= frame.time_ns:
                if until_ns is not None and frame.time_ns >= until_ns:
                    return
                yield frame

    def follow(self, ref: Ref, *, output: bool = True) -> Iterator[wire.Frame]:
        """Yield a job's changes (EVENT) and ``output`` until END, which carries its final view.

        If the daemon goes away, waits for it and resumes after the last received frame of output:
        nothing is repeated or lost.
        """
        return self._resumed(OutputStream(ref, "follow", follow_query(output)))

    def _resumed(self, stream: OutputStream) -> Iterator[wire.Frame]:
        """Yield a stream's frames up to END, over as many connections as needed."""
        patience = Patience(self)
        while True:
            try:
                for frame in self._transport.frames(
                    stream.path(), timeout=self.timeout, wakeup=self.wakeup
                ):
                    patience.renew()
                    if stream.took(frame):
                        yield frame
                    if frame.stream == wire.END:
                        return
                raise CutStream("the daemon went away in the middle of a stream")
            except (errors.DaemonUnreachable, errors.RecoveryMode) as error:
                time.sleep(patience.after(error))
            except errors.TooMany as error:
                must_be_short(error)


def follow_query(output: bool) -> list[tuple[str, str]]:
    """Return the query of a stream of changes, with or without output."""
    return [] if output else [("events", "1")]


def log_query(
    follow: bool, tail: int | None, attempt: int | None, since_ns: int
) -> list[tuple[str, str]]:
    """Return the query of a request for a job's output."""
    pairs = [("follow", str(int(follow)))]
    pairs += [("tail", str(tail))] if tail is not None else []
    pairs += [("attempt", str(attempt))] if attempt is not None else []
    pairs += [("since_ns", str(since_ns))] if since_ns else []
    return pairs


class OutputStream:
    """A job's stream of frames (``what``: logs or follow), and how much of it has arrived.

    Another connection goes on there.
    """

    def __init__(self, ref: Ref, what: str, pairs: Sequence[tuple[str, str]] = ()) -> None:
        self._path, self._pairs = f"{job_path(ref)}/{what}", pairs
        self._position, self._seen = "", 0

    def path(self) -> str:
        """Return the path and query of the next connection."""
        pairs = list(self._pairs)
        if self._position:
            pairs = [pair for pair in pairs if pair[0] != "tail"]
            pairs += [("position", self._position), ("skip", str(self._seen))]
        return f"{self._path}?{query(pairs)}" if pairs else self._path

    def took(self, frame: wire.Frame) -> bool:
        """Note a frame; return whether it is for the caller."""
        if frame.stream == wire.POSITION:
            self._position, self._seen = frame.data.decode("ascii"), 0
            return False
        self._seen += frame.stream not in (wire.EVENT, wire.END)
        return True


class Patience:
    """Limits the wait for a daemon that answered once and went away."""

    def __init__(self, client: ClientBase) -> None:
        self._client = client
        self._until: float | None = None
        self._answered = False
        self._delay = RETRY_SECONDS

    def renew(self) -> None:
        """Record that the daemon answered."""
        self._until, self._answered, self._delay = None, True, RETRY_SECONDS

    def after(self, error: errors.DaemonUnreachable | errors.RecoveryMode) -> float:
        """Return after how many seconds to try again, or give up by raising ``error``.

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
        delay, self._delay = self._delay, min(2 * self._delay, LONGEST_RETRY_SECONDS)
        return min(delay, self._until - now)
