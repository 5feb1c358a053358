"""Carries out the actions of a layout change: a step, or the inspection after the last step."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from launcher.core.messages.actions import CarveStep, LookAtLayout
from launcher.core.messages.events import (
    InventoryFailed,
    InventoryRead,
    LayoutSeen,
    LayoutStepDone,
    LayoutStepFailed,
)
from launcher.core.model.gpu import Inventory
from launcher.core.model.layout_change import Step, StepKind
from launcher.daemon.loop.health import Health
from launcher.daemon.loop.threads import in_thread
from launcher.errors import InternalError, LauncherError
from launcher.gpu import Carver, ResetNeeded

log = logging.getLogger(__name__)


class LayoutRunner:
    """Runs each step in its own thread: an NVML call that hangs blocks nothing else.

    ``look`` reads NVML, posts that, and returns the event; ``refresh`` updates device nodes and CDI
    and returns failures; ``unfit`` returns what does not match the layout. ``moving`` is called
    when a step starts.
    """

    def __init__(
        self,
        carver: Carver,
        health: Health,
        look: Callable[[], Awaitable[InventoryRead | InventoryFailed]],
        refresh: Callable[[], list[str]],
        unfit: Callable[[Inventory], list[str]] = lambda match: [],
        moving: Callable[[], None] = lambda: None,
    ) -> None:
        self._carver, self._health = carver, health
        self._look, self._refresh, self._unfit = look, refresh, unfit
        self._moving = moving

    async def carve(self, action: CarveStep) -> LayoutStepDone | LayoutStepFailed:
        """Carry out one step; every outcome is an event."""
        log.info("layout change %d: %s", action.op, action.step)
        self._moving()
        try:
            gi, created = await in_thread("carve", lambda: self._step(action.step))
        except ResetNeeded as pending:
            return LayoutStepDone(action.op, action.step, pending=in_one_line(pending))
        except LauncherError as error:
            log.warning("layout change %d: %s: %s", action.op, action.step, error.message)
            return LayoutStepFailed(action.op, action.step, in_one_line(error))
        except Exception as bug:
            log.exception("layout change %d: %s", action.op, action.step)
            return LayoutStepFailed(action.op, action.step, f"a bug in the launcher: {bug}")
        return LayoutStepDone(action.op, action.step, gi, created)

    def _step(self, step: Step) -> tuple[int | None, bool]:
        """Return the GPU instance and whether it was created now."""
        gpu, gi, place = step.gpu_uuid, step.gi, step.placement
        match step.kind:
            case StepKind.MODE_ON | StepKind.MODE_OFF:
                self._carver.set_mode(gpu, on=step.kind is StepKind.MODE_ON)
                return None, True
            case StepKind.CREATE if place is not None:
                return self._carver.create(gpu, step.profile_id, place, step.cut)
            case StepKind.COMPLETE if gi is not None:
                return self._carver.complete(gpu, gi, step.cut), False
            case StepKind.DESTROY if place is not None and gi is not None:
                self._carver.destroy(gpu, gi, step.profile_id, place)
                return None, True
        raise InternalError(f"the step {step} lacks something")

    async def look(self, action: LookAtLayout) -> LayoutSeen:
        """Read the current layout; device nodes and CDI follow the changes."""
        problems = await in_thread("refresh", self._refresh) if action.changed else []
        layout_seen = await self._look()
        if action.changed:
            if isinstance(layout_seen, InventoryRead):
                # A tool that may not create a node does not report it: nvidia-smi -L exits with 0.
                problems += await in_thread("refresh", lambda: self._unfit(layout_seen.inventory))
            self._health.refreshed(action.op, problems)
        if isinstance(layout_seen, InventoryRead):
            return LayoutSeen(action.op, blind=layout_seen.blind)
        return LayoutSeen(action.op, layout_seen.message)


def in_one_line(error: LauncherError) -> str:
    """Return an error and the next step for the user, on one line."""
    return f"{error.message.rstrip('.')}. {error.fix}" if error.fix else error.message
