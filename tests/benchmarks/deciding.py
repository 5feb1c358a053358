"""The core alone: how fast it decides with a short and a long queue, and a day in virtual time."""

from __future__ import annotations

import random
import statistics
import time

from launcher.core.dispatch import handle, serve
from launcher.core.messages import events as ev
from launcher.core.model.gpu import Gpu, Inventory, Placement, Profile, Slice
from launcher.core.model.job import ImageKey, Owner
from launcher.core.replay import Replay, runtimes
from launcher.core.world.world import World
from launcher.spec.gpus import GpuRequest
from launcher.spec.job_spec import JobSpec
from tests.benchmarks.setup import Result

JOBS = 100_000
USERS = 50
DAY = 86400.0
IMAGE = ImageKey("busybox", "missing")
A100 = {"1g.5gb": (19, 4864), "1g.10gb": (15, 9856), "2g.10gb": (14, 9856), "3g.20gb": (9, 19968),
        "4g.20gb": (5, 19968), "7g.40gb": (0, 40192)}  # fmt: skip
NOW = ev.Now(1_800_000_000.0, 1000.0)
AT = "2026-01-01T00:00:00.000000Z"
ROUNDS = 300


def _machine(layout: list[str], gpus: int) -> tuple[World, ev.InventoryRead]:
    """Return a world of A100s that are all cut like this."""
    profiles = tuple(Profile(i, name, mib, 1, 7) for name, (i, mib) in A100.items())
    cards = [Gpu(f"GPU-{n}", n, "A100", 40960, True, True, profiles) for n in range(gpus)]
    slices = [
        Slice(f"MIG-{gpu.index}-{gi}", gpu.uuid, gpu.index, name, *A100[name], gi, 0,
              Placement(gi, 1))
        for gpu in cards for gi, name in enumerate(layout)
    ]  # fmt: skip
    world = World("bench", reconciling=None)
    seen = ev.InventoryRead(Inventory("580.95.05", tuple(cards), tuple(slices)))
    handle(world, seen, NOW)
    return world, seen


def _submit(world: World, count: int) -> None:
    """Queue jobs of 50 users over 6 profiles, their image here."""
    draw = random.Random(7)
    for user in range(USERS):
        owner = Owner(1000 + user, 1000, f"user{user}")
        new = tuple(
            ev.NewJob(JobSpec("job", "busybox", draw.choice(NEEDS)), "{}", IMAGE)
            for _ in range(count // USERS)
        )
        handle(world, ev.Submitted(owner, new), NOW)
    handle(world, ev.ImageResolved(IMAGE, "sha256:1", pulled=True), NOW)


NEEDS = [GpuRequest("profile", profile=name) for name in A100]


def rates() -> list[Result]:
    """Submit, end and tick events with 100,000 jobs queued against 100 queued."""
    short, long = _rates(100), _rates(JOBS)
    names = {"end": "depth", "submit": "depth of a submit", "tick": "depth of a tick"}
    return [
        Result(
            names[what],
            f"one {what} and what follows from it, 100,000 jobs queued / 100 queued"
            f" ({1 / long[what]:,.0f} a second / {1 / short[what]:,.0f})",
            long[what],
            short[what],
            2.0,
        )
        for what in ("end", "submit", "tick")
    ]


def _rates(queued: int) -> dict[str, float]:
    """Return event -> seconds that it takes, the median."""
    world, _ = _machine(list(A100), 1)
    _submit(world, queued)
    serve(world, NOW)
    taken: dict[str, list[float]] = {"end": [], "submit": [], "tick": []}
    owner = Owner(1007, 1000, "user7")
    for number in range(ROUNDS):
        world.take_changes()
        job = world.jobs[min(world.attempts)]
        now = ev.Now(NOW.wall + number, NOW.boot + number)
        new = (ev.NewJob(JobSpec("job", "busybox", job.need), "{}", IMAGE),)
        began = time.perf_counter()
        handle(world, ev.AttemptStarted(job.id, job.attempt, "c", AT), now)
        handle(world, ev.AttemptEnded(job.id, job.attempt, 0, False, AT, AT, job.slices), now)
        serve(world, now)
        ended = time.perf_counter()
        handle(world, ev.Submitted(owner, new), now)
        handle(world, ev.ImageResolved(IMAGE, "sha256:1", pulled=True), now)
        serve(world, now)
        submitted = time.perf_counter()
        handle(world, ev.Tick(), now)
        serve(world, now)
        ticked = time.perf_counter()
        taken["end"].append(ended - began)
        taken["submit"].append(submitted - ended)
        taken["tick"].append(ticked - submitted)
    return {what: statistics.median(times) for what, times in taken.items()}


def day() -> Result:
    """A day of 100,000 jobs of 50 users on 8 GPUs with 7 slices each, in virtual time."""
    world, _ = _machine(["1g.5gb"] * 7, 8)
    draw = random.Random(7)
    arrivals = []
    for _ in range(JOBS):
        user = draw.randrange(USERS)
        owner = Owner(1000 + user, 1000, f"user{user}")
        spec = JobSpec("job", "busybox", NEEDS[0], time_limit=draw.uniform(5, 85))
        asked = ev.Submitted(owner, (ev.NewJob(spec, "{}", IMAGE),))
        arrivals.append((NOW.wall + draw.uniform(0, DAY), asked))
    arrivals.sort(key=lambda arrival: arrival[0])
    replay = Replay(world, NOW, runtimes(world, {}), arrivals)
    began = time.perf_counter()
    replay.run()
    taken = time.perf_counter() - began
    assert len(replay.ran) == JOBS, f"{len(replay.ran)} ran"
    return Result("day", "a simulated day of 100,000 jobs / 60 s", taken, 60.0, 1.0)
