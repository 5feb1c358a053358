"""Attempts of every kind, for the tests of the create body."""

from __future__ import annotations

from typing import Any

from launcher.core.model.gpu import Slice
from launcher.core.model.ids import labels
from launcher.core.model.job import Owner
from launcher.core.policy.policy import Person, PolicyInput
from launcher.core.policy.sandbox import confinement
from launcher.core.policy.settings import Policy
from launcher.daemon.mounts.homes import OwnHomes
from launcher.daemon.mounts.job_homes import JobHomes
from launcher.engine.image_files import ImageFacts
from launcher.engine.spec import ContainerSpec
from launcher.engine.validate import Bounds
from launcher.spec.job_spec import JobSpec, Mount
from tests.support.builders import ALICE, CPU, mig, profile

IMAGE_ID = "sha256:" + "1" * 64
NAME = "launch-feed-7-2"
HOMES = JobHomes(OwnHomes("/homes"), lambda image_id: ImageFacts())
SHARE = 6 << 30
"""What goes with the slices of the host's memory."""
DEFAULT = Policy()
ONE, TWO = (mig(0),), (mig(0), mig(1))


def launch(
    owner: Owner = ALICE,
    slices: tuple[Slice, ...] = ONE,
    driver: str | None = "",
    policy: Policy = DEFAULT,
    gids: tuple[int, ...] = (),
    secrets: str | None = None,
    job_network: str | None = None,
    **spec: Any,
) -> ContainerSpec:
    """Return attempt 2 of job 7 of this owner on these slices; ``secrets`` is where his are."""
    need = profile(count=len(slices)) if slices else CPU
    named = {} if secrets is None else {"secrets": {"token": "kept:" + "0" * 32}}
    made = JobSpec("train", "team/app:1", need, **spec, **named)  # type: ignore[arg-type]
    more = () if secrets is None else (Mount(secrets, "/run/secrets", read_only=True),)
    uuids = tuple(s.uuid for s in slices)
    request = PolicyInput(made, Person(owner, gids=gids), policy, SHARE)
    kept = confinement(request, job_network=job_network)
    return ContainerSpec(
        job=7,
        attempt=2,
        spec=made,
        slices=slices,
        image_id=IMAGE_ID,
        confinement=kept,
        labels=labels("feed", 7, 2, uuids, owner.uid),
        binds=(*made.volumes, *HOMES.mounts(kept.directories, NAME, owner.uid), *more),
        gpu_driver=driver,
    )


def bounds_of(made: ContainerSpec) -> Bounds:
    """Return what the container of this attempt may be given, by what the test asked for."""
    uid = int(made.labels["launcher.uid"])
    ordinary = uid != 0
    return Bounds(
        uuids=uuids_of(made),
        uid=uid,
        gid=uid,
        groups=made.confinement.groups,
        network=made.spec.network_mode or made.confinement.network,
        mounts=tuple((b.source, b.target, b.read_only) for b in made.spec.volumes),
        pins="/run/pins/",
        tty=made.spec.tty,
        stdin=made.spec.stdin_open,
        secrets=made.binds[-1].source if made.spec.secrets else None,
        memory=made.spec.mem_limit or (SHARE if ordinary else None),
        own=tuple(
            (b.source, b.target, b.read_only)
            for b in made.binds
            if b.source.startswith(HOMES.homes.directory)
        ),
        homes=f"{HOMES.homes.directory}/",
        pids=4096 if ordinary else None,
        nofile=16384 if ordinary else None,
        real=made.gpu_driver is not None,
    )


def uuids_of(made: ContainerSpec) -> list[str]:
    return [s.uuid for s in made.slices]
