"""What a plan of the layout says: whether it is empty, and its differences as sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.wire import GpuView, LayoutPlan, PlaceView

EXIT_DIFFERENT = 5
"""What stands is not what was asked for."""


def is_empty(plan: LayoutPlan) -> bool:
    """Whether there is nothing to change."""
    return not (plan.destroy or plan.create or plan.complete or plan.modes)


def counted(place: PlaceView) -> str:
    """Return a place's devices with their number: ``1c.3g.20gb:3``."""
    return f"{place.profile}:{place.count}" if place.count > 1 else place.profile


def differences(plan: LayoutPlan, gpus: Sequence[GpuView]) -> list[str]:
    """Return how what stands differs from the layout that was asked for."""
    by_uuid = {gpu.uuid: gpu for gpu in gpus}

    def at(uuid: str) -> str:
        return f"GPU {by_uuid[uuid].index}" if uuid in by_uuid else f"GPU {uuid}"

    modes = [f"{at(gpu)}: {_mode(by_uuid.get(gpu), on)}" for gpu, on in plan.modes.items()]
    extra = [f"{at(v.gpu)}: {counted(v)}@{v.start} is not asked for" for v in plan.destroy]
    missing = [f"{at(v.gpu)}: {counted(v)} is missing" for v in plan.create]
    partial = [f"{at(v.gpu)}: {counted(v)}@{v.start} is incomplete" for v in plan.complete]
    return [*modes, *extra, *missing, *partial]


def _mode(gpu: GpuView | None, on: bool) -> str:
    wanted, other = ("on", "off") if on else ("off", "on")
    if gpu is None or gpu.mig_current == gpu.mig_pending:
        return f"MIG mode is {other}, not {wanted}"
    now = "on" if gpu.mig_current else "off"
    later = "on" if gpu.mig_pending else "off"
    return f"MIG mode is {now}, and will be {later} after a reset or reboot"
