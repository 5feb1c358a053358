"""A slice out of use: since when, and what to do about it."""

from __future__ import annotations

from launcher.core.model.slice_state import SliceState
from launcher.core.world.world import World
from launcher.daemon.loop import clock


def since(world: World, state: SliceState) -> str | None:
    """Return since when a slice is out of use, None if unknown."""
    at: float | None = None
    if _reason(state) == "quarantine":
        at = state.quarantined_at
    elif _reason(state) == "drained":
        names = (state.slice.uuid, state.slice.gpu_uuid)
        at = next((world.drains[name].at for name in names if name in world.drains), None)
    return None if at is None else clock.rfc3339(at)


def fix(world: World, state: SliceState, reserved: str | None) -> str | None:
    """Return what to do about a slice out of use, None if it can be used."""
    uuid = state.slice.uuid
    match _reason(state):
        case "changing":
            return "Wait for the end of the change: `launch layout changes`."
        case "silent":
            return (
                "It is used again when the GPU answers: look for NVRM and Xid lines in dmesg; if "
                "the GPU stays silent, reboot."
            )
        case "lost":
            return "It was destroyed: `launch layout show` shows the current layout."
        case "beside":
            return "It is used again when that job has ended; `launch cancel` ends it now."
        case "foreign":
            return (
                "It is free again when that has ended (`launch doctor` names it); permit programs "
                "in [foreign] allow in launcher.toml."
            )
        case "quarantine" if state.lasting:
            return (
                "Look for the cause in dmesg and in the daemon's log; then "
                f"`launch undrain {uuid}` checks the slice and puts it back into use."
            )
        case "quarantine":
            return "It ends by itself after three checks in a row without a process on the slice."
        case "drained":
            drained = uuid if uuid in world.drains else state.slice.gpu_uuid
            return f"`launch undrain {drained}` puts it back into use."
    if world.gpu_down is not None:
        return "It is used again when NVML can be used: see `launch doctor`."
    return "`launch reserve --list` shows until when." if reserved else None


def _reason(state: SliceState) -> str | None:
    """Return the name of the reason that ``SliceState.unusable`` reports."""
    reasons = (
        ("changing", state.changing is not None),
        ("silent", state.silent is not None),
        ("lost", state.lost),
        ("beside", state.beside is not None),
        ("foreign", state.foreign is not None),
        ("quarantine", state.quarantine is not None),
        ("drained", state.drained is not None),
    )
    return next((name for name, holds in reasons if holds), None)
