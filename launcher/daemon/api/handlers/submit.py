"""Submits: converts requests to jobs, arrays to elements, and names to places and ids."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Container, Sequence
from dataclasses import replace
from typing import cast

from launcher import wire
from launcher.core.messages import events as ev
from launcher.core.model.job import ImageKey, Job, Reason
from launcher.core.policy.policy import Person, PolicyInput
from launcher.core.scheduling.explain import Explainer
from launcher.daemon.api.handlers import login
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.api.handlers.dependencies import places_of, waits_of
from launcher.daemon.api.views import job_views
from launcher.daemon.loop import clock
from launcher.daemon.loop.pauses import Pauses
from launcher.daemon.machine.disk_space import must_have_room
from launcher.daemon.mounts import mounts, root_links
from launcher.daemon.mounts.container_directories import own
from launcher.daemon.mounts.secret_store import Bundle, parted
from launcher.daemon.requests import convert
from launcher.daemon.requests.array_elements import Budget, each_element, template_of
from launcher.daemon.requests.auto_memory import with_memory
from launcher.daemon.requests.notify import check_jobs
from launcher.daemon.users.identity import Caller
from launcher.errors import UserError
from launcher.indices import ranges
from launcher.spec.gpus import GpuRequest
from launcher.spec.job_spec import HOST, JobSpec

MAX_JOBS = 100_000
MAX_DEPENDENCIES = 200_000
MOUNTS_LOOKED_AT = 32
JOBS_LOOKED_AT = 1000
MOST_NOTICES = 3
SHOWN_AT_A_TIME = 250


async def submit(
    context: Context,
    caller: Caller,
    submission: wire.SubmitRequest,
    notices: list[str] | None = None,
) -> list[wire.JobView] | AsyncIterator[list[wire.JobView]]:
    """Queue all of the jobs, or none; with ``dry_run`` only report what would be queued.

    Returns the views of the jobs, streamed in parts if there are many. The jobs are queued even
    if the client does not read them. ``notices`` gets what their owner should know of them.
    """
    if not submission.dry_run:
        must_have_room(context.config)
    notifies = check_jobs(context.config.notify, submission.jobs)
    if any(job.secrets for job in submission.jobs):
        await context.users.run(caller.uid, context.places.check)
    sized, chosen = await with_memory(context.committer, caller.uid, submission.jobs)
    named = await _mounts_as_configured(context, caller, sized)
    requests, bundles = parted(named, None if submission.dry_run else caller.uid)
    event = await event_of(context, caller, replace(submission, jobs=requests))
    await _check_mounts(context, event)
    if not submission.dry_run:
        login.store_credentials(context, caller, submission.credentials)
    jobs = await _queue(context, caller, event, bundles)
    queued = list(zip(jobs, event.jobs, strict=True))
    if notifies:
        context.notify_watch.wanted = True
    context.remember((job.id, new.spec) for job, new in queued if job.id)
    if notices is not None:
        notices += [str(each) for each in chosen[:MOST_NOTICES]]
        notices += _without_slices(context, jobs)
        if notifies and (problem := context.notify_watch.problem()) is not None:
            notices.append(problem)
    shown = _shown(context, caller, queued)
    return shown if len(queued) > SHOWN_AT_A_TIME else await anext(shown)


def _without_slices(context: Context, jobs: Sequence[Job]) -> list[str]:
    """Return a sentence for each need of jobs for which too few slices exist, up to a few."""
    explainer = Explainer(context.world, clock.now())
    first: dict[GpuRequest, Job] = {}
    for job in jobs[:JOBS_LOOKED_AT]:
        first.setdefault(job.need, job)
    sentences = []
    for job in list(first.values())[:MOST_NOTICES]:
        lacking = (
            explainer.lacking(job) if job.need.kind != "none" and job.outcome is None else None
        )
        if lacking is not None and lacking.reason is Reason.NO_SUCH_PROFILE:
            sentences.append(f"{job.name} waits for {lacking.need}: {lacking.have}")
    return sentences


async def _shown(
    context: Context, caller: Caller, queued: Sequence[tuple[Job, ev.NewJob]]
) -> AsyncIterator[list[wire.JobView]]:
    for first in range(0, len(queued), SHOWN_AT_A_TIME):
        explainer = Explainer(context.world, clock.now())
        some = queued[first : first + SHOWN_AT_A_TIME]
        yield [job_views.job_view(explainer, job, caller, _command(new.spec)) for job, new in some]
        await asyncio.sleep(0)


async def _queue(
    context: Context, caller: Caller, event: ev.Submitted, bundles: Sequence[Bundle]
) -> list[Job]:
    """Queue jobs after storing their secrets, so that a recorded job always has them."""
    if not bundles:
        return cast(list[Job], await context.event_loop.request(event))
    context.event_loop.must_commit()
    await context.users.run(caller.uid, context.secrets.store, bundles)
    with context.secrets.held(bundle.key for bundle in bundles):
        jobs: list[Job] = await context.event_loop.request(event)
        for job, new in zip(jobs, event.jobs, strict=True):
            key = new.spec.secrets_key
            if key is not None and job.id in context.world.jobs:  # otherwise it has ended
                context.secrets.use(job.id, (caller.uid, key))
    return jobs


async def groups_notice(
    context: Context, caller: Caller, requests: Sequence[JobSpec]
) -> str | None:
    """Say which of the submitter's groups the containers will have, if they could matter.

    None without mounts, and for a user without further groups.
    """
    if caller.uid == 0 or not any(request.volumes for request in requests):
        return None
    rules = context.world.rules.policy
    person = await context.accounts.person(caller.uid, caller.owner, rules.groups)
    primary = person.group_names.get(person.owner.gid)
    kept = {person.group_names.get(gid, str(gid)) for gid in person.gids}
    left = person.groups - kept - {primary}
    if not kept and not left:
        return None
    has = ", ".join(sorted(kept | ({primary} if primary else set())))
    text = f"runs as {caller.owner.name} with the groups {has or 'of no name'}"
    return text + (f", not {', '.join(sorted(left))}" if left else "")


async def _mounts_as_configured(
    context: Context, caller: Caller, jobs: Sequence[JobSpec]
) -> Sequence[JobSpec]:
    """Return jobs with their mounts named below the roots as they are configured."""
    if not any(job.volumes for job in jobs):
        return jobs
    rules = context.world.rules.policy
    person = Person(caller.owner, caller.groups, trusted=caller.trusted, admin=caller.admin)
    request = PolicyInput(jobs[0], person, rules, rules.host_memory)
    return await context.users.run(caller.uid, root_links.as_configured, jobs, request)


async def _check_mounts(context: Context, event: ev.Submitted) -> None:
    """Raise ``PinRefused`` for a mount that the submitter may not open, at submit and not only at
    the start.

    Checks a sample only: an array's elements mostly have the same mounts.
    """
    rules = context.world.rules.policy
    pauses = Pauses()
    specs: dict[tuple[object, ...], JobSpec] = {}
    for job in event.jobs:
        if job.spec.volumes:
            specs[job.spec.volumes, job.spec.working_dir] = job.spec
        await pauses.rest()
    if not specs:
        return
    uid = event.owner.uid
    person = await context.accounts.person(uid, event.owner, rules.groups)
    user = await context.accounts.run(uid, mounts.user_of, person)
    for spec in list(specs.values())[:MOUNTS_LOOKED_AT]:
        policy_input = PolicyInput(spec, person, rules, rules.host_memory)
        wanted = await context.users.run(uid, mounts.mounts_of, policy_input, own(spec))
        if mounts.are_pinned(policy_input) and len(wanted) == len(
            spec.volumes
        ):  # otherwise the policy refuses
            await context.users.run(uid, context.pins.check, wanted, user)


def _command(spec: JobSpec) -> list[str] | None:
    return None if spec.command is None else list(spec.command)


def count_of(asked: Sequence[JobSpec]) -> int:
    """Return the number of requested jobs, before any of them is created."""
    return sum(1 if one.array is None else len(one.array.indices) for one in asked)


async def event_of(
    context: Context, caller: Caller, submission: wire.SubmitRequest
) -> ev.Submitted:
    """Return the event for the core, with arrays expanded.

    It contains the names and future locations of secrets, never contents.
    """
    count = count_of(submission.jobs)
    if not 0 < count <= MAX_JOBS:
        raise UserError(f"{count} jobs in one submit; 1 to {MAX_JOBS} are allowed")
    budget = Budget()
    expanded: list[Sequence[JobSpec]] = []
    pauses = Pauses()
    for request in submission.jobs:
        expanded.append(await _expanded(request, budget, pauses))
    login.must_be_few(submission.credentials)
    for request in submission.jobs:
        if request.runtime == HOST:
            _check_host(context, request)
    new, arrays = await _new_jobs(context, caller, submission, expanded)
    return ev.Submitted(
        caller.owner, new, submission.dry_run, arrays, caller.groups, caller.admin, caller.trusted
    )


def _check_host(context: Context, request: JobSpec) -> None:
    """Raise ``UserError`` for a host job that this machine cannot run, or cannot limit."""
    if context.host is None:
        raise UserError(
            "runtime: this daemon cannot run host jobs",
            fix="They need Linux 5.14, cgroup v2, and a root daemon outside a container.",
        )
    for field, value, controller in (
        ("mem_limit", request.mem_limit, "memory"),
        ("cpus", request.cpus, "cpu"),
    ):
        if value is not None and controller not in context.host.controllers:
            raise UserError(
                f"{field}: this machine cannot limit a host job's {controller}: the controller "
                "belongs to cgroup v1",
                fix="Omit it, or boot with systemd.unified_cgroup_hierarchy=1.",
            )


async def _expanded(request: JobSpec, budget: Budget, pauses: Pauses) -> Sequence[JobSpec]:
    """Return the elements of a request, created in steps."""
    job_requests: list[JobSpec] = []
    for element in each_element(request, budget):
        job_requests.append(element)
        await pauses.rest()
    return job_requests


async def _new_jobs(
    context: Context,
    caller: Caller,
    submission: wire.SubmitRequest,
    expanded: Sequence[Sequence[JobSpec]],
) -> tuple[tuple[ev.NewJob, ...], tuple[ev.NewArray, ...]]:
    """Return the jobs of a submit in order, and its arrays."""
    places = places_of(submission.jobs, expanded)
    new: list[ev.NewJob] = []
    arrays: list[ev.NewArray] = []
    waits = 0
    pauses = Pauses()
    for request, elements in zip(submission.jobs, expanded, strict=True):
        waiting = await waits_of(context, caller, request, places)
        waits += waiting.count * len(elements)
        if waits > MAX_DEPENDENCIES:
            raise UserError(
                f"{request.name}: the jobs of this submit wait for more than {MAX_DEPENDENCIES} "
                "others in all",
                fix="Make them wait for one array, or for one job that waits for the others.",
            )
        images = _Images(context, caller.uid, submission.credentials)
        document = convert.document(request) if request.array is None else ""
        for number, element in enumerate(elements):
            place = _place(request.array, len(arrays), number)
            beside, after = waiting.of(None if place is None else place.index)
            new.append(ev.NewJob(element, document, images.of(element), beside, after, place))
            await pauses.rest()  # a long list must not block other requests
        if request.array is not None:
            indices = ranges(request.array.indices)
            template = template_of(request)
            most = 1 if request.singleton else request.array.max_parallel
            arrays.append(ev.NewArray(request.name, template, most, indices))
    return tuple(new), tuple(arrays)


def _place(array: wire.ArrayRequest | None, which: int, number: int) -> ev.NewElement | None:
    if array is None:
        return None
    values = tuple(array.matrix[number].items()) if array.matrix else ()
    return ev.NewElement(which, array.indices[number], values)


class _Images:
    """The pulls of the jobs of a submit; the elements of an array are often one object."""

    def __init__(self, context: Context, uid: int, given: Container[str]) -> None:
        self._context, self._uid, self._given = context, uid, given
        self._last: tuple[JobSpec, ImageKey] | None = None

    def of(self, spec: JobSpec) -> ImageKey:
        """Return the pull that a job shares."""
        if self._last is None or self._last[0] is not spec:
            owner = self._context.credentials.owner(self._uid, spec.image, self._given)
            self._last = (spec, ImageKey(spec.image, spec.pull_policy, owner))
        return self._last[1]
