"""Rebuilding after random damage: no slice twice, nothing begun again, no id given out twice.

A random history goes to a real store; what Docker would show is known from the history itself. Then
the file is damaged, or put back to an older state, and rebuilt.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from launcher.core.invariants import violations
from launcher.core.model.job import State
from launcher.core.recovery.rebuild import FoundContainer, Rebuild
from launcher.core.recovery.reconcile import resume
from launcher.core.world.world import World
from launcher.store import Store
from launcher.store.connect import FILE_NAME
from launcher.store.salvage.rebuild import Rebuilding
from tests.drills.histories import History

ENDED_AT = "2026-12-01T00:01:00.000000Z"
STARTED_AT = "2026-12-01T00:00:00.000000Z"


@dataclass
class Figures:
    """What was tried; ``failures`` has a sentence for each rule that was broken."""

    seed: int
    damage: str = ""
    jobs: int = 0
    running: int = 0
    salvaged: int = 0
    failures: list[str] = field(default_factory=list)


def drill(seed: int, steps: int = 60) -> Figures:
    """Make a history, damage its database, rebuild it; returns what that came to."""
    chosen = random.Random(seed)
    with tempfile.TemporaryDirectory() as directory:
        state, older = Path(directory) / "state", Path(directory) / "older"
        store, history = Store.open(state), History(seed)
        begun: dict[int, int] = {}
        highest = 0
        for step in range(steps):
            history.step()
            store.commit(history.machine.world.take_changes())
            for job in history.machine.world.jobs.values():
                highest = max(highest, job.id)
                if job.state is State.RUNNING:
                    begun[job.id] = max(job.attempt, begun.get(job.id, 0))
            if step == steps // 2:
                older.mkdir()
                for name in (FILE_NAME, f"{FILE_NAME}-wal"):
                    shutil.copy(state / name, older / name)
        store.close()
        figures = Figures(seed, jobs=highest)
        figures.damage = _damage(state, older, chosen)
        before = history.machine.world
        shown = containers(before)
        figures.running = sum(one.running for one in shown)
        _rebuild(state, before, shown, begun, highest, figures)
    return figures


def containers(world: World) -> list[FoundContainer]:
    """Return what Docker shows of a world's live attempts."""
    found = []
    for job in world.jobs.values():
        if job.state is State.PENDING:
            continue
        attempt = world.attempts[job.id]
        started = job.state is not State.STARTING
        found.append(
            FoundContainer(
                job.id, job.attempt, job.owner, attempt.slices, attempt.container_name,
                f"c{job.id}", "sha256:1", "job", "busybox:1", "{}",
                running=job.state is State.RUNNING,
                started_at=STARTED_AT if started else None,
                ended_at=ENDED_AT if job.state is State.COMPLETING else None,
                exit_code=0, oom=False,
            )
        )  # fmt: skip
    return found


def _damage(state: Path, older: Path, chosen: random.Random) -> str:
    database = state / FILE_NAME
    content = bytearray(database.read_bytes())
    kind = chosen.choice(("gone", "garbled", "first page", "pages", "bits", "cut", "older"))
    match kind:
        case "gone":
            database.unlink()
            return kind
        case "garbled":
            content[:] = chosen.randbytes(len(content))
        case "first page":
            content[:4096] = bytes(4096)
        case "pages":
            for page in chosen.sample(range(1, len(content) // 4096), 3):
                content[page * 4096 : page * 4096 + 4096] = chosen.randbytes(4096)
        case "bits":
            for _ in range(200):
                content[chosen.randrange(len(content))] ^= 1 << chosen.randrange(8)
        case "cut":
            del content[chosen.randrange(4096, len(content)) :]
        case "older":
            for name in (FILE_NAME, f"{FILE_NAME}-wal"):
                shutil.copy(older / name, state / name)
            return kind
    database.write_bytes(content)
    return kind


def _rebuild(
    state: Path, before: World, shown: list[FoundContainer], begun: dict[int, int], highest: int,
    figures: Figures,
) -> None:  # fmt: skip
    now = History(0).machine.time
    slices = {s.slice.uuid: s.slice for s in before.slices.values()}
    with Rebuilding(state) as work:
        figures.salvaged = work.salvage(work.store_id() or "feedfeed").counts.get("jobs", 0)
        world = work.store.load(2)
        Rebuild(world, work.ended, begun, slices, now).run(shown)
        work.store.commit(world.take_changes())
        next_id = work.next_id_after(max([*begun, *(f.job for f in shown)], default=0))
        world = work.store.load(2)
        resume(world, now)
        _look(before, world, shown, begun, figures)
        if next_id <= highest:
            figures.failures.append(f"the next id is {next_id}, {highest} was given out")
        work.finish("")
    Store.open(state).close()


def _look(
    before: World,
    after: World,
    shown: list[FoundContainer],
    begun: dict[int, int],
    figures: Figures,
) -> None:
    wrong = figures.failures
    wrong += violations(after)
    for one in shown:
        job = after.jobs.get(one.job)
        if one.running and (job is None or job.state is not State.RUNNING):
            wrong.append(f"job {one.job} runs and is not RUNNING")
        elif one.running and job is not None and set(job.slices) != set(one.slices):
            wrong.append(f"job {one.job} runs on {one.slices} and has {job.slices}")
    for job in after.jobs.values():
        was = before.jobs.get(job.id)
        again = was is not None and was.state in (State.PENDING, State.COMPLETING)
        if job.state is State.PENDING and begun.get(job.id, 0) > job.attempt:
            wrong.append(f"job {job.id} had begun and waits again")
        if job.state is State.PENDING and not again and begun.get(job.id):
            retried = job.retries is not None
            if not retried:
                wrong.append(f"job {job.id} was over or ran, and waits again")
