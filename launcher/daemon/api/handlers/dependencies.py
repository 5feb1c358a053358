"""What the jobs of a submit wait for: names to places in the submit, ids to jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from launcher.core.jobs.dependencies import Recorded
from launcher.core.model.job import After, Dependency, Job, Outcome, wall_of
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.loop.pauses import Pauses
from launcher.daemon.users.identity import Caller
from launcher.errors import UserError
from launcher.spec.conditions import parse_condition
from launcher.spec.job_spec import JobSpec
from launcher.store import Reader

Others = list[tuple[Dependency, Outcome | None]]


@dataclass(frozen=True, slots=True)
class Spot:
    """A request of the submit: where its first job is, and the indices of its array's elements."""

    first: int
    indices: Sequence[int] | None

    def each(self) -> range:
        """Return the places of its jobs."""
        count = 1 if self.indices is None else len(self.indices)
        return range(self.first, self.first + count)


@dataclass(slots=True)
class Waiting:
    """What the jobs of one request wait for; ``own`` is what single elements do, by index."""

    beside: list[Dependency] = field(default_factory=list)
    others: Others = field(default_factory=list)
    own_beside: dict[int, list[Dependency]] = field(default_factory=dict)
    own_others: dict[int, Others] = field(default_factory=dict)

    def of(self, index: int | None) -> tuple[tuple[Dependency, ...], Recorded]:
        """Return what one job waits for: jobs of this submit by place, others with their ends."""
        if index is None or not (self.own_beside or self.own_others):
            return tuple(self.beside), tuple(self.others)
        beside = [*self.beside, *self.own_beside.get(index, ())]
        return tuple(beside), (*self.others, *self.own_others.get(index, ()))

    @property
    def count(self) -> int:
        """The number of dependencies of each job."""
        own_beside = max((len(own) for own in self.own_beside.values()), default=0)
        own_others = max((len(own) for own in self.own_others.values()), default=0)
        return len(self.beside) + len(self.others) + own_beside + own_others


def places_of(
    requests: Sequence[JobSpec], expanded: Sequence[Sequence[JobSpec]]
) -> dict[str, list[Spot]]:
    """Return the places in a submit by job name.

    Two jobs of different files may share a name; then both are returned.
    """
    result: dict[str, list[Spot]] = {}
    at = 0
    for request, elements in zip(requests, expanded, strict=True):
        indices = None if request.array is None else request.array.indices
        result.setdefault(request.name, []).append(Spot(at, indices))
        at += len(elements)
    return result


async def waits_of(
    context: Context, caller: Caller, request: JobSpec, places: Mapping[str, list[Spot]]
) -> Waiting:
    """Return what the jobs of a request wait for; raises ``UserError``."""
    result, pauses = Waiting(), Pauses()
    for name, condition in request.depends_on.items():
        try:
            word, minutes = parse_condition(condition)
        except ValueError as error:
            raise UserError(f"{request.name}: depends_on: {error}") from None
        wanted = Dependency(0, After(word), either=request.depends_any, delay=60.0 * minutes)
        if name in places:
            for place in places[name]:
                await _add_place(result, request, name, place, wanted, pauses)
        else:
            await _add_other(context, caller, result, request, name, wanted, pauses)
    return result


async def _add_place(
    waits: Waiting, request: JobSpec, name: str, place: Spot, wanted: Dependency, pauses: Pauses
) -> None:
    """Add a job or array of the same submit."""
    if wanted.after is After.CORR and request.array is not None and place.indices is not None:
        at = {index: place.first + number for number, index in enumerate(place.indices)}
        for index in _corresponding(request, name, at):
            waits.own_beside.setdefault(index, []).append(replace(wanted, job=at[index]))
            await pauses.rest()
    elif wanted.after is After.START:
        for at_place in place.each():
            waits.beside.append(replace(wanted, job=at_place))
            await pauses.rest()
    else:
        waits.beside.append(replace(_plain(wanted), job=place.first))


async def _add_other(
    context: Context,
    caller: Caller,
    waits: Waiting,
    request: JobSpec,
    name: str,
    wanted: Dependency,
    pauses: Pauses,
) -> None:
    """Add a job, array or element of an earlier submit."""
    number = int(name) if name.isascii() and name.isdecimal() and len(name) < 16 else None
    if "[" in name:
        job = await context.one_job(name, caller)
        waits.others.append(_on(job, _plain(wanted)))
        return
    found = None if number is None else await context.find(number)
    if found is not None:
        waits.others.append(_on(found, _plain(wanted)))
        return
    array = None if number is None else await context.committer.read(Reader.array, number)
    if number is None or array is None:
        raise await _missing(context, request, name, number)
    if wanted.after is After.CORR and request.array is not None:
        elements = {j.element.index: j for j in await context.resolve(name, caller) if j.element}
        for index in _corresponding(request, name, elements):
            waits.own_others.setdefault(index, []).append(_on(elements[index], wanted))
            await pauses.rest()
    elif wanted.after is After.START:
        for job in await context.resolve(name, caller):
            waits.others.append(_on(job, wanted))
            await pauses.rest()
    else:
        ended = None if number in context.world.arrays else array.outcome
        waits.others.append((replace(_plain(wanted), job=number), ended))


def _plain(wanted: Dependency) -> Dependency:
    """Return what ``aftercorr`` means where there are not two arrays, as in Slurm: afterok."""
    return replace(wanted, after=After.OK) if wanted.after is After.CORR else wanted


def _on(job: Job, wanted: Dependency) -> tuple[Dependency, Outcome | None]:
    ref = "" if job.element is None else job.ref
    since = job.started_wall or wall_of(job.started_at) or wall_of(job.ended_at)
    return replace(wanted, job=job.id, ref=ref, since=since), job.outcome


def _corresponding(request: JobSpec, name: str, known: Mapping[int, object]) -> Sequence[int]:
    """Return the indices of an array; raises ``UserError`` for one that the other has not."""
    indices = request.array.indices if request.array is not None else []
    for index in indices:
        if index not in known:
            raise UserError(
                f"{request.name}: depends_on: {name} has no element {index} for aftercorr",
                fix="Give both arrays the same indices, or write afterok for all of the other.",
            )
    return indices


async def _missing(context: Context, request: JobSpec, name: str, number: int | None) -> UserError:
    if number is not None and await context.committer.read(Reader.pruned_at, number) is not None:
        return UserError(
            f"{request.name}: depends_on: job {name} ended and was pruned",
            fix="Remove the dependency.",
        )
    return UserError(
        f"{request.name}: depends_on: no job {name!r} in this submit or with that id",
        fix="Use the name of a job in the same file, or the id of an earlier job.",
    )
