"""Attempts of every kind, for the tests of the create body."""

from __future__ import annotations

from typing import Any

from launcher.core.gpu import Slice
from launcher.core.ids import labels
from launcher.core.job import JobSpec, Owner
from launcher.core.policy import confinement
from launcher.engine.spec import Launch
from tests.support.builders import ALICE, CPU, mig, profile

IMAGE_ID = "sha256:" + "1" * 64
ONE, TWO = (mig(0),), (mig(0), mig(1))


def launch(
    owner: Owner = ALICE, slices: tuple[Slice, ...] = ONE, driver: str = "", **spec: Any
) -> Launch:
    """Return attempt 2 of job 7 of this owner on these slices."""
    need = profile(count=len(slices)) if slices else CPU
    made = JobSpec("train", "team/app:1", need, **spec)
    uuids = tuple(s.uuid for s in slices)
    return Launch(
        job=7,
        attempt=2,
        spec=made,
        slices=slices,
        image_id=IMAGE_ID,
        confinement=confinement(made, owner),
        labels=labels("feed", 7, 2, uuids, owner.uid),
        gpu_driver=driver,
    )


def uuids_of(made: Launch) -> list[str]:
    return [s.uuid for s in made.slices]
