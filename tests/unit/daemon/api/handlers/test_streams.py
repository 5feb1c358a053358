"""What a job's followers are told, and what of it is another user's."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from launcher.core.jobs.submit import submit
from launcher.core.messages import events as ev
from launcher.core.model.job import ImageKey, Job, Owner, State
from launcher.daemon.api.handlers import streams
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.attempts.foreground_turns import ForegroundTurns
from launcher.daemon.loop.subscriptions import Subscriptions
from launcher.daemon.users.identity import Caller
from launcher.output.log_file import LogWriter, path_of
from launcher.spec.job_spec import JobSpec
from launcher.wire import STDOUT, Frame
from tests.support.builders import ALICE, BOB, Machine, profile
from tests.unit.store.worlds import done

HERS = ImageKey("nvcr.io/nvidia/secret:1", "missing", ALICE.uid)
HIS = ImageKey("nvcr.io/nvidia/secret:1", "missing", BOB.uid)
FRAMES = [Frame(STDOUT, 1, b"x" * 60_000) for _ in range(20)]
LAYERS = [{"id": "4f53cda18c2b", "current": 1, "total": 2}]


def ask(machine: Machine, owner: Owner, key: ImageKey) -> Job:
    """Return a job that waits for its image's pull."""
    new = ev.NewJob(JobSpec("job", key.reference, profile(), pull_policy=key.policy), "{}", key)
    (job,), _ = submit(machine.world, ev.Submitted(owner, (new,)), machine.time)
    machine.tell(ev.ImageMissing(key))
    return job


def test_the_progress_of_a_private_pull_is_visible_to_its_owner_alone() -> None:
    async def told() -> dict[str, Any]:
        machine, subscriptions = Machine(), Subscriptions()
        jobs = [ask(machine, ALICE, HERS), ask(machine, BOB, HIS)]
        subscriptions.pulling(HERS, LAYERS)
        turns = ForegroundTurns(subscriptions.touch)
        context = cast(
            "Context",
            SimpleNamespace(world=machine.world, subscriptions=subscriptions, turns=turns),
        )
        return {
            job.owner.name: json.loads(
                streams._event(context, job, Caller(job.owner, admin=False), None)
            )["progress"]
            for job in jobs
        }

    assert asyncio.run(told()) == {"alice": {"layers": LAYERS}, "bob": None}


@pytest.mark.parametrize(
    ("state", "reading", "told"),
    [("STARTING", 2, False), ("STARTING", 1, True), ("RUNNING", 2, True), ("PENDING", 2, True)],
)
def test_output_is_visible_after_the_word_that_the_job_runs(
    state: str, reading: int, told: bool
) -> None:
    job = SimpleNamespace(state=State[state], attempt=2)
    shown = streams._is_visible(cast("Job", job), cast("Any", SimpleNamespace(number=reading)))
    assert shown is told


def test_who_takes_output_slowly_gets_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = done(1, attempt=1, started_at="2026-01-01T00:00:00.000000Z")
    path = path_of(tmp_path, 1, 1)
    writer = LogWriter(path, 2**30)
    writer.write(FRAMES)
    writer.end(2)
    writer.close()
    monkeypatch.setattr(streams, "JUST_ENDED_SECONDS", 0.0)  # as if each piece was taken later

    async def find(_: int) -> Job:
        return job

    async def blocking(_: int, call: Any, *args: Any) -> Any:
        return call(*args)

    async def read() -> list[Frame]:
        users = SimpleNamespace(run=blocking)
        known = {
            "subscriptions": Subscriptions(),
            "find": find,
            "users": users,
            "log_directory": tmp_path,
        }
        context = cast("Context", SimpleNamespace(**known))
        query = streams.LogQuery(None, follow=True)
        return [frame async for some in streams.log_frames(context, job, query) for frame in some]

    frames = asyncio.run(read())
    told = b"".join(frame.data for frame in frames if frame.stream == STDOUT)
    assert told == b"".join(frame.data for frame in FRAMES)
    assert not any(b"lost" in frame.data[:100] for frame in frames)
