"""The part of the client that queues, lists and changes jobs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from launcher import errors, wire
from launcher.client.base import ClientBase, Ref, job_path
from launcher.client.decode import decode, decode_list
from launcher.client.http import CutStream, query
from launcher.spec.bounds import MOST_ITEMS

REFS_IN_A_QUERY = 100
"""Maximum references in a URL, whose line is limited to 8190 bytes."""


class JobRequests(ClientBase):
    """Queues, lists and changes jobs."""

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
        return decode(wire.JobDetail, self._get(job_path(ref)))

    def array(
        self, ref: Ref, part: str | None = None, *, after: int | None = None, most: int = 50
    ) -> wire.ArrayPage:
        """Return an array with at most ``most`` of its elements, failed ones first.

        ``part`` selects one of ``wire.ARRAY_PARTS``; ``after``, the id of the last element of a
        page, then returns the next page.
        """
        chosen = [(key, str(value)) for key, value in (("part", part), ("after", after)) if value]
        path = f"{job_path(ref)}/array?{query([*chosen, ('most', str(most))])}"
        return decode(wire.ArrayPage, self._get(path))

    def docker_command(self, ref: Ref) -> wire.DockerCommand:
        """Return the ``docker run`` that does the same as one job."""
        return decode(wire.DockerCommand, self._get(f"{job_path(ref)}/docker"))

    def cancel(self, ref: Ref, *, now: bool = False) -> list[wire.JobView]:
        """End a job, or all jobs of a range or array; return them. ``now``: no grace period."""
        return decode_list(
            wire.JobView, self._post(f"{job_path(ref)}/cancel{'?now=1' if now else ''}")
        )

    def hold(self, ref: Ref) -> list[wire.JobView]:
        """Keep pending jobs from starting."""
        return decode_list(wire.JobView, self._post(f"{job_path(ref)}/hold"))

    def release(self, ref: Ref) -> list[wire.JobView]:
        """Release held jobs."""
        return decode_list(wire.JobView, self._post(f"{job_path(ref)}/release"))

    def requeue(self, ref: Ref) -> list[wire.JobView]:
        """Stop running jobs and queue them again, under the same ids."""
        return decode_list(wire.JobView, self._post(f"{job_path(ref)}/requeue"))

    def retry(self, refs: Sequence[Ref], *, failed: bool = False) -> list[wire.JobView]:
        """Queue ended jobs again, together, with the dependencies between them."""
        request = wire.RetryJobs(refs=[str(ref) for ref in refs], failed=failed)
        return decode_list(wire.JobView, self._post("/v1/jobs/retry", dataclasses.asdict(request)))

    def edit(self, ref: Ref, request: wire.EditRequest) -> list[wire.JobView]:
        """Change pending jobs, or the time limit of running ones."""
        reply = self._post(f"{job_path(ref)}/edit", dataclasses.asdict(request))
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
        return decode(wire.JobView, self._post(f"{job_path(ref)}/signal", body))
