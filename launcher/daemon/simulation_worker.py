"""Answers a ``Question`` in its own process: replays a world that it reads from the store.

The reply goes to stdout as JSON in the API's form, with times in seconds from the start of the
replay. The daemon passes it on unread.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from launcher import __version__
from launcher.core.dispatch import handle
from launcher.core.mig.planner import device_of, plan
from launcher.core.model.compute_instances import counted
from launcher.core.model.gpu import Gpu, Placement, Slice
from launcher.core.model.job import Job, State
from launcher.core.model.layout_change import Want
from launcher.core.model.packing import board_of
from launcher.core.model.slice_state import SliceState
from launcher.core.recovery.reconcile import take_up
from launcher.core.replay import Medians, Ran, Replay, idle_copy, runtimes
from launcher.core.world.inventory import take_inventory
from launcher.core.world.world import World
from launcher.daemon.api.handlers.forecasts.simulation_client import (
    ANSWERED,
    OTHER_VERSION,
    REFUSED,
    Question,
)
from launcher.daemon.api.views import job_views
from launcher.errors import ImpossibleLayout, LauncherError, UserError
from launcher.store import Reader

PRESENT = "present"
CPU_LANE = "cpu"
NICE, LONG_NICE = 10, 19
LONG_SECONDS = 3.0
"""A replay that has taken this much processor time yields to shorter ones."""
MOST_REFS = 20
"""Maximum names of jobs that never start."""
MOST_BYTES = 64 * 2**20
"""Limit of all forecasts of one reply together."""


def main() -> None:
    """Answer the question on stdin; the argument is the daemon's version."""
    be_nice(LONG_SECONDS)
    if sys.argv[1] != __version__:
        sys.stdout.buffer.write(OTHER_VERSION + __version__.encode())
        return
    question: Question = pickle.load(sys.stdin.buffer)
    try:
        reply = ANSWERED + answer_to(question).encode()
    except LauncherError as error:
        reply = REFUSED + json.dumps([error.kind, error.message, error.fix]).encode()
    sys.stdout.buffer.write(reply)


def be_nice(seconds: float) -> None:
    """Yield to jobs; after this much processor time also to other replays."""
    os.nice(NICE)
    signal.signal(signal.SIGPROF, lambda *_: os.nice(LONG_NICE - NICE))
    signal.setitimer(signal.ITIMER_PROF, seconds)


def answer_to(question: Question) -> str:
    """Return the reply as JSON; raises ``UserError`` if it would be too long."""
    reader = Reader(question.state_dir)
    world = reader.world(question.cpu_slots, question.rules)
    world.groups = question.groups
    if question.inventory is not None:
        take_inventory(world, question.inventory)
    medians = reader.medians(question.seen_by) if question.history else {}
    if question.jobs:
        return json.dumps(starts_of(question, world, medians))
    return encoded(_forecasts(question, world, medians), len(question.layouts) + 1, MOST_BYTES)


def _forecasts(question: Question, world: World, medians: Medians) -> Iterator[dict[str, Any]]:
    """Yield the result of each layout, the current one first."""
    if not question.layouts and question.submitted is None:
        yield _forecast(PRESENT, world, question, medians)
        return
    waiting = [j for j in world.jobs.values() if j.state is State.PENDING]
    jobs = [] if question.submitted is not None else waiting
    for name, wants in ((PRESENT, None), *question.layouts):
        copy = idle_copy(world, jobs)
        if wants is not None:
            _lay_out(copy, wants)
        yield _forecast(name, copy, question, medians)


def encoded(forecasts: Iterable[dict[str, Any]], count: int, most: int) -> str:
    """Return forecasts as a JSON list with the best marked: the first of equals.

    Each is created and encoded before the next. ``most`` is in bytes; raises ``UserError`` if the
    forecasts of ``count`` layouts exceed it.
    """
    ranks: list[tuple[int, float]] = []
    texts: list[str] = []
    for forecast in forecasts:
        ranks.append((len(forecast["never"]), forecast["makespan"]))
        texts.append(json.dumps(forecast, separators=(",", ":"))[:-1])
        if sum(map(len, texts)) > most:
            raise UserError(
                f"the forecast is larger than {most // 2**20} MiB after {len(texts)} of {count} "
                "layouts",
                fix="Request fewer layouts at once, or fewer jobs.",
            )
    best = ranks.index(min(ranks))
    ends = (f',"best":{json.dumps(number == best)}}}' for number in range(len(texts)))
    return f"[{','.join(map(''.join, zip(texts, ends, strict=True)))}]"


def starts_of(question: Question, world: World, medians: Medians) -> dict[int, float]:
    """Return when jobs start in the replay (seconds since 1970), by id.

    Left out are those that do not start, or not within the seconds of the question.
    """
    found = (world.jobs.get(job_id) for job_id in question.jobs)
    waiting = {job.id: job for job in found if job is not None and job.state is State.PENDING}
    starts: dict[int, float] = {}
    end = math.inf if question.seconds is None else time.monotonic() + question.seconds
    take_up(world, question.now)
    replay = Replay(world, question.now, runtimes(world, medians))

    def all_started() -> bool:
        for job in [job for job in waiting.values() if job.state is not State.PENDING]:
            starts[job.id] = replay.now.wall
            del waiting[job.id]
        return not waiting or time.monotonic() >= end

    replay.run(until=all_started)
    return starts


def _lay_out(world: World, wants: Sequence[Want]) -> None:
    """Give every MIG-capable GPU this layout, as far as its board has the profiles.

    A GPU whose board has none of them keeps its slices. Raises ``ImpossibleLayout``, also for a
    profile that no board here has.
    """
    capable = [gpu for gpu in world.gpus.values() if gpu.mig_capable]
    if not capable:
        raise ImpossibleLayout("none of the GPUs here supports MIG: they can have no layout")
    for want in wants:
        if not any(_offers(gpu, want) for gpu in capable):
            device_of(capable[0], want.profile)  # raises, with the profiles there are
    cut = {gpu.uuid: [want for want in wants if _offers(gpu, want)] for gpu in capable}
    world.slices = {u: s for u, s in world.slices.items() if not cut.get(s.slice.gpu_uuid)}
    for gpu in capable:
        for slice_ in _slices(gpu, cut[gpu.uuid]) if cut[gpu.uuid] else ():
            world.slices[slice_.uuid] = SliceState(slice_)


def _offers(gpu: Gpu, want: Want) -> bool:
    try:
        device_of(gpu, want.profile)
    except ImpossibleLayout:
        return False
    return True


def _slices(gpu: Gpu, wants: Sequence[Want]) -> list[Slice]:
    board = board_of(gpu.profiles)
    slices = []
    for gi, place in enumerate(plan(gpu, [], wants, exact=True).create):
        assert board is not None, "a plan was made with it"
        offered = next(p for p in gpu.profiles if p.profile_id == place.profile_id)
        at = Placement(place.start, board.shape(place.profile_id).size)
        devices = counted(offered.name, place.cut)
        names = [name for name, count in devices for _ in range(count)]
        for ci, name in enumerate(names):
            uuid = f"{gpu.uuid}/{name}@{place.start}" + (f".{ci}" if place.cut else "")
            slices.append(
                Slice(uuid, gpu.uuid, gpu.index, name, offered.profile_id, offered.memory_mib,
                      gi, ci, at)
            )  # fmt: skip
    return slices


def _forecast(name: str, world: World, question: Question, medians: Medians) -> dict[str, Any]:
    """Replay a world to its end and return the result."""
    now = question.now
    running = {j.id for j in world.jobs.values() if j.state is not State.PENDING}
    take_up(world, now)
    if question.submitted is not None:
        world.reconciling = None
        handle(world, question.submitted, now)
    jobs = dict(world.jobs)
    slices = [s.slice for s in world.slices.values()]
    replay = Replay(world, now, runtimes(world, medians))
    replay.run()
    waits = _waits(replay.ran, running, now.wall)
    never = sorted(jobs.keys() - {ran.job.id for ran in replay.ran})
    makespan = max((ran.end for ran in replay.ran), default=now.wall) - now.wall
    return {
        "layout": name,
        "makespan": makespan,
        "mean_wait": sum(waits) / len(waits) if waits else 0.0,
        "worst_wait": max(waits, default=0.0),
        "use": _use(replay.ran, slices, now.wall, makespan),
        "jobs": len({ran.job.id for ran in replay.ran}),
        "never": never,
        "never_refs": [jobs[i].ref for i in never[:MOST_REFS]],
        "lanes": [_lane(s) for s in sorted(slices, key=_place)] + _cpu_lane(replay.ran),
        "runs": [_run(ran, now.wall, question.seen_by) for ran in replay.ran],
    }


def _waits(ran: Sequence[Ran], running: set[int], since: float) -> list[float]:
    first: dict[int, float] = {}
    for run in ran:
        if run.job.id not in running:
            first.setdefault(run.job.id, run.start - since)
    return list(first.values())


def _use(ran: Sequence[Ran], slices: Sequence[Slice], since: float, makespan: float) -> float:
    """Return the used share of the slices' memory over the whole time."""
    memory = {s.uuid: s.share_mib for s in slices}
    available = sum(memory.values()) * makespan
    used = sum(
        memory.get(uuid, 0) * (run.end - max(run.start, since))
        for run in ran
        for uuid in run.slices
    )
    return used / available if available else 0.0


def _place(s: Slice) -> tuple[int, int, str]:
    return (s.gpu_index, s.placement.start if s.placement else 0, s.uuid)


def _lane(s: Slice) -> dict[str, Any]:
    at = f"@{s.placement.start}" if s.placement else ""
    label = f"{s.gpu_index}:{s.profile}{at}"
    return {"uuid": s.uuid, "label": label, "memory_mib": s.share_mib}


def _cpu_lane(ran: Sequence[Ran]) -> list[dict[str, Any]]:
    if all(run.slices for run in ran):
        return []
    return [{"uuid": CPU_LANE, "label": "CPU", "memory_mib": 0}]


def _run(ran: Ran, since: float, seen_by: int | None) -> dict[str, Any]:
    job: Job = ran.job
    return {
        "job": job.id,
        "name": job.name if seen_by in (None, job.owner.uid) else None,
        "user": job.owner.name,
        "lanes": list(ran.slices) or [CPU_LANE],
        "start": max(0.0, ran.start - since),
        "end": ran.end - since,
        "array": job_views.element_view(job.element, mine=False),
    }


if __name__ == "__main__":
    main()
