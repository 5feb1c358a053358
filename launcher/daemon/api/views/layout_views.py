"""The layout as the API shows it: GPUs, instances, profiles, plans and changes."""

from __future__ import annotations

from collections.abc import Sequence

from launcher import wire
from launcher.core.mig.planner import GpuPlan, name_of
from launcher.core.model.compute_instances import StandingInstance, counted
from launcher.core.model.gpu import ENGINES, Gpu, Instance
from launcher.core.model.layout_change import LayoutOp, LayoutTarget
from launcher.core.model.packing import Place
from launcher.core.world.inventory import made_by_us
from launcher.core.world.world import World
from launcher.daemon.api.views import job_views
from launcher.daemon.loop import clock


def gpu_views(world: World) -> list[wire.GpuView]:
    """Return every GPU with its instances, by placement."""
    devices: dict[tuple[str, int | None], list[wire.SliceView]] = {}
    for view in job_views.slice_views(world):
        devices.setdefault((view.gpu, view.gi), []).append(view)
    gpus = []
    for gpu in sorted(world.gpus.values(), key=lambda g: g.index):
        standing = sorted(
            (i for i in world.instances.values() if i.gpu_uuid == gpu.uuid),
            key=lambda i: (i.placement.start, i.gi),
        )
        # One line per MIG device of a GPU instance, one if it has none.
        shown = [
            _instance_view(world, gpu, instance, device)
            for instance in standing
            for device in devices.get((gpu.uuid, instance.gi), [None])
        ]
        gpus.append(_gpu_view(gpu, shown, known=gpu.uuid not in world.hidden))
    return gpus


def _gpu_view(gpu: Gpu, instances: list[wire.InstanceView], *, known: bool) -> wire.GpuView:
    ends = [p.start + p.size for profile in gpu.profiles for p in profile.placements or ()]
    return wire.GpuView(
        index=gpu.index,
        uuid=gpu.uuid,
        name=gpu.name,
        architecture=gpu.architecture,
        mig_current=gpu.mig_current,
        mig_pending=gpu.mig_pending,
        memory_mib=gpu.memory_mib,
        units=max(ends, default=None),
        instances=instances,
        instances_known=known,
    )


def _instance_view(
    world: World, gpu: Gpu, instance: Instance, device: wire.SliceView | None
) -> wire.InstanceView:
    memory = next((p.memory_mib for p in gpu.profiles if p.profile_id == instance.profile_id), 0)
    return wire.InstanceView(
        gi=instance.gi,
        profile=device.profile if device else instance.profile,
        profile_id=instance.profile_id,
        start=instance.placement.start,
        size=instance.placement.size,
        made_by="launcher" if made_by_us(world, gpu.uuid, instance.gi) else "other",
        ci=device.ci if device else None,
        uuid=device.uuid if device else None,
        memory_mib=device.memory_mib if device else memory,
        state=device.state if device else "bare",
        job=device.job if device else None,
        user=device.user if device else None,
        why=device.why if device else "it has no compute instance",
        memory_shared=device.memory_shared if device else False,
        array=device.array if device else None,
    )


def profile_views(gpu: Gpu, fit: dict[int, int | None]) -> list[wire.ProfileView]:
    """Return a GPU's profiles, largest first."""
    return [
        wire.ProfileView(
            gpu=gpu.uuid,
            gpu_index=gpu.index,
            name=p.name,
            profile_id=p.profile_id,
            memory_mib=p.memory_mib,
            compute_slices=p.slice_count,
            multiprocessors=p.multiprocessors,
            engines=dict(zip(ENGINES, p.engines, strict=True)),
            placements=None if p.placements is None else [x.start for x in p.placements],
            size=p.placements[0].size if p.placements else None,
            most=p.max_instances,
            fit=fit.get(p.profile_id),
        )
        for p in sorted(gpu.profiles, key=lambda p: (p.memory_mib, p.name))
    ]


def plan_view(
    world: World, targets: Sequence[LayoutTarget], plans: Sequence[GpuPlan]
) -> wire.LayoutPlan:
    """Return what a change would do."""

    def places(standing: Sequence[StandingInstance], plan: GpuPlan) -> list[wire.PlaceView]:
        gpu = world.gpus[plan.gpu_uuid]
        return [view for s in standing for view in _place(gpu, s.place)]

    busy = [text for plan in plans for text in plan.touches_busy]
    return wire.LayoutPlan(
        keep=[v for p in plans for v in places(p.keep, p)],
        destroy=[v for p in plans for v in places(p.destroy, p)],
        create=[
            view
            for p in plans
            for place in p.create
            for view in _place(world.gpus[p.gpu_uuid], place)
        ],
        complete=[v for p in plans for v in places(p.complete, p)],
        modes={
            w.gpu_uuid: w.mode
            for w in targets
            if w.mode is not None and not _has_mode(world.gpus[w.gpu_uuid], on=w.mode)
        },
        touches_busy=bool(busy),
        busy=busy,
    )


def _has_mode(gpu: Gpu, *, on: bool) -> bool:
    """Whether a GPU's MIG mode is as requested, now and after a reset."""
    return {bool(gpu.mig_current), bool(gpu.mig_pending)} == {on}


def _place(gpu: Gpu, place: Place) -> list[wire.PlaceView]:
    """Return a GPU instance by its devices; a divided one has a line per kind of device."""
    devices = counted(name_of(gpu, place.profile_id), place.cut)
    return [
        wire.PlaceView(gpu=gpu.uuid, profile=name, start=place.start, count=count)
        for name, count in devices
    ]


def change_view(op: LayoutOp, warning: str | None = None) -> wire.LayoutChange:
    """Return a change for the API; ``warning``: what does not match the new layout."""
    return wire.LayoutChange(
        id=op.id,
        verb=op.verb,
        request=op.request,
        user=op.owner.name,
        state=op.state.value,
        result=op.result.value if op.result else None,
        message=op.message,
        warning=warning,
        todo=[str(step) for step in (*op.undo, *op.steps)],
        done=[str(step) for step in op.done],
        asked_at=clock.rfc3339(op.asked_at),
        ended_at=None if op.ended_at is None else clock.rfc3339(op.ended_at),
    )
