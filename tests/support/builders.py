"""Small worlds in a few words: a machine with slices, jobs in any state, a clock that obeys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from launcher.core.dispatch import handle, serve
from launcher.core.invariants import violations
from launcher.core.jobs.submit import submit
from launcher.core.messages import events as ev
from launcher.core.messages.actions import Action
from launcher.core.model.arrays import ArrayTemplate
from launcher.core.model.gpu import FULL, Gpu, Inventory, Placement, Profile, Slice
from launcher.core.model.job import ImageKey, Job, Owner, Reason
from launcher.core.policy.settings import Settings
from launcher.core.scheduling.explain import blockers
from launcher.core.world.world import World
from launcher.spec.gpus import GpuCapability, GpuRequest
from launcher.spec.job_spec import JobSpec

ALICE = Owner(1000, 1000, "alice")
BOB = Owner(1001, 1001, "bob")
ROOT = Owner(0, 0, "root")
IMAGE = ImageKey("busybox:1", "missing")
A30 = (
    Profile(14, "1g.6gb", 5952, 1, 4),
    Profile(5, "2g.12gb", 11968, 2, 2),
    Profile(0, "4g.24gb", 24000, 4, 1),
)


def mig(
    number: int, profile: str = "1g.6gb", gpu: str = "GPU-a", start: int | None = None
) -> Slice:
    """Return a MIG slice; equal arguments give an equal slice."""
    offered = next(p for p in A30 if p.name == profile)
    place = Placement(number if start is None else start, offered.slice_count)
    uuid = f"MIG-{gpu[4:]}-{number}"
    return Slice(uuid, gpu, 0, profile, offered.profile_id, offered.memory_mib, number, 0, place)


def whole(gpu: str, index: int = 0) -> Slice:
    """Return a whole GPU as a slice."""
    return Slice(gpu, gpu, index, FULL, None, 24576)


def a30(uuid: str = "GPU-a", mig_mode: bool = True) -> Gpu:
    """Return an A30."""
    return Gpu(uuid, 0, "NVIDIA A30", 24576, mig_mode, mig_mode, A30)


def _cores(need: GpuRequest) -> dict[str, float]:
    """Return the cores of a job that needs several CPU slots."""
    return {"cpus": float(need.count)} if need.kind == "none" and need.count > 1 else {}


def moment_text(seconds: float) -> str:
    """Return a moment as a request has it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def profile(
    name: str = "1g.6gb", count: int = 1, capabilities: tuple[GpuCapability, ...] = ()
) -> GpuRequest:
    """Return a need by profile."""
    return GpuRequest("profile", profile=name, count=count, capabilities=capabilities)


def memory(gb: int, count: int = 1) -> GpuRequest:
    """Return a need by memory, as people write it."""
    return GpuRequest("memory", memory_gb=gb, count=count)


CPU = GpuRequest("none")
TEMPLATE = ArrayTemplate("{}")


@dataclass
class Machine:
    """A world with its clock; every step checks the invariants and collects the actions."""

    slices: Sequence[Slice] = field(default_factory=lambda: [mig(i) for i in range(4)])
    gpus: Sequence[Gpu] = field(default_factory=lambda: [a30()])
    cpu_slots: int = 2
    ready: bool = True
    rules: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        self.world = World("feed", cpu_slots=self.cpu_slots, rules=self.rules)
        self.time = ev.Now(1_800_000_000.0, 1000.0)
        self.actions: list[Action] = []
        self.see(self.slices)
        if self.ready:
            self.tell(ev.Reconciled())

    def see(self, slices: Iterable[Slice], foreign: dict[str, str] | None = None) -> list[Action]:
        inventory = Inventory("580.95.05", tuple(self.gpus), tuple(slices))
        return self.tell(ev.InventoryRead(inventory, tuple((foreign or {}).items())))

    def wait(self, seconds: float) -> None:
        self.time = ev.Now(self.time.wall + seconds, self.time.boot + seconds)

    def tell(self, *events: ev.Event) -> list[Action]:
        actions: list[Action] = []
        for event in events:
            actions += handle(self.world, event, self.time)
        actions += serve(self.world, self.time)
        assert violations(self.world) == []
        self.actions += actions
        return actions

    def submit(
        self, *needs: GpuRequest, owner: Owner = ALICE, pinned: bool = True, **spec: object
    ) -> list[Job]:
        """Queue jobs; with ``pinned`` their image is here already."""
        new = tuple(
            ev.NewJob(JobSpec("job", IMAGE.reference, n, **_cores(n), **spec), "{}", IMAGE)  # type: ignore[arg-type]
            for n in needs
        )
        jobs, actions = submit(self.world, ev.Submitted(owner, new), self.time)
        self.actions += actions
        self.tell(*([ev.ImageResolved(IMAGE, "sha256:1", pulled=True)] if pinned else []))
        return jobs

    def submit_array(
        self, size: int, need: GpuRequest | None = None, most: int | None = None, **spec: object
    ) -> list[Job]:
        """Queue an array whose image is here."""
        made = JobSpec("job", IMAGE.reference, need or CPU, **spec)  # type: ignore[arg-type]
        new = tuple(
            ev.NewJob(made, "", IMAGE, element=ev.NewElement(0, index)) for index in range(size)
        )
        arrays = (ev.NewArray("job", TEMPLATE, most),)
        jobs, actions = submit(self.world, ev.Submitted(ALICE, new, arrays=arrays), self.time)
        self.actions += actions
        self.tell(ev.ImageResolved(IMAGE, "sha256:1", pulled=True))
        return jobs

    def reasons(self, job: Job) -> list[Reason]:
        """Return the reasons for which a job waits."""
        return [b.reason for b in blockers(self.world, job, self.time)]

    def tick(self, seconds: float) -> list[Action]:
        """Let time pass, then tick."""
        self.wait(seconds)
        return self.tell(ev.Tick())

    def run(self, job: Job) -> list[Action]:
        return self.tell(
            ev.AttemptStarted(job.id, job.attempt, f"c{job.id}", "2026-01-01T00:00:00.000000Z")
        )

    def end(
        self,
        job: Job,
        code: int = 0,
        *,
        oom: bool = False,
        idle: bool = True,
        ago: float = 0.0,
    ) -> list[Action]:
        proven = job.slices if idle else ()
        ended = datetime.fromtimestamp(self.time.wall - ago, UTC)
        at = ended.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return self.tell(ev.AttemptEnded(job.id, job.attempt, code, oom, None, at, proven))

    def fail_start(self, job: Job, failure: ev.StartFailure, **details: Any) -> list[Action]:
        event = ev.StartFailed(job.id, job.attempt, failure, "because", **details)
        return self.tell(event)
