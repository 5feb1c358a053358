"""What a job's followers are told, and what of it is another user's."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

from launcher.core import event as ev
from launcher.core.job import ImageKey, Job, JobSpec, Owner
from launcher.core.submit import submit
from launcher.daemon import streams
from launcher.daemon.context import Context
from launcher.daemon.hub import Hub
from launcher.daemon.identity import Caller
from tests.support.builders import ALICE, BOB, Machine, profile

HERS = ImageKey("nvcr.io/nvidia/secret:1", "missing", ALICE.uid)
HIS = ImageKey("nvcr.io/nvidia/secret:1", "missing", BOB.uid)
LAYERS = [{"id": "4f53cda18c2b", "current": 1, "total": 2}]


def ask(machine: Machine, owner: Owner, key: ImageKey) -> Job:
    """Return a job that waits for its image's pull."""
    new = ev.NewJob(JobSpec("job", key.reference, profile(), pull_policy=key.policy), "{}", key)
    (job,), _ = submit(machine.world, ev.Submitted(owner, (new,)), machine.time)
    machine.tell(ev.ImageMissing(key))
    return job


def test_the_progress_of_a_private_pull_is_told_to_its_owner_alone() -> None:
    async def told() -> dict[str, Any]:
        machine, hub = Machine(), Hub()
        jobs = [ask(machine, ALICE, HERS), ask(machine, BOB, HIS)]
        hub.pulling(HERS, LAYERS)
        context = cast("Context", SimpleNamespace(world=machine.world, hub=hub))
        return {
            job.owner.name: json.loads(
                streams._event(context, job, Caller(job.owner, admin=False), None)
            )["progress"]
            for job in jobs
        }

    assert asyncio.run(told()) == {"alice": {"layers": LAYERS}, "bob": None}
