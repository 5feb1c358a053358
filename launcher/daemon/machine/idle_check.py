"""Proves that a slice is free: its container has stopped, and no process uses it (I2)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from launcher.core.messages.actions import ProveIdle
from launcher.core.messages.events import SlicesIdle, SliceStuck
from launcher.core.model.gpu import Slice
from launcher.daemon.loop import clock
from launcher.daemon.loop.health import Health
from launcher.daemon.loop.logging_setup import about_container
from launcher.daemon.machine.foreign_allowlist import NOBODY, ForeignAllowlist
from launcher.errors import (
    EngineError,
    EngineUnavailable,
    GpuFault,
    GpuGone,
    GpuPermission,
    GpuUnavailable,
)
from launcher.gpu import GpuReader

log = logging.getLogger(__name__)

PROOF_SECONDS = 60.0
POLL_SECONDS = 0.25
END_SECONDS = 0.2
"""Limit of this check's delay of a job's end. The end is then reported; the slice waits."""


class StillRunning(Protocol):
    """One container, or process tree."""

    @property
    def id(self) -> str:
        """Its identity."""

    @property
    def running(self) -> bool:
        """Whether it has not ended."""


class Engine(Protocol):
    """Finds the environments of attempts: containers, or process trees on the machine itself."""

    def find(self, name: str, container_id: str | None) -> StillRunning | None:
        """Return an attempt's container, None if it was removed."""

    def is_empty(self, container_id: str) -> bool:
        """Return whether it has no processes left; False if that is unknown."""


class IdleCheck:
    """Reads NVML; if it refuses to list processes, the container's empty cgroup is the proof."""

    def __init__(
        self, containers: Engine, gpu: GpuReader, health: Health, allowed: ForeignAllowlist = NOBODY
    ) -> None:
        self._containers = containers
        self._gpu = gpu
        self._health, self._allowed = health, allowed

    def idle_now(self, uuids: tuple[str, ...], container_id: str) -> tuple[str, ...]:
        """Return those of the slices that are proven free now; an empty id proves nothing.

        If NVML does not answer at once, nothing is proven.
        """
        until = clock.now().boot + END_SECONDS

        def is_empty() -> bool:
            return self._is_empty(container_id)

        def left() -> float:
            return max(0.0, until - clock.now().boot)

        return tuple(uuid for uuid in uuids if self._users(uuid, is_empty, left()) is None)

    def probe(self, slice_: Slice) -> str | None:
        """Return why a slice is not proven clean, None if it is.

        Clean: NVML shows it unchanged, its GPU responds, and no process uses it.
        """
        try:
            changed = self._gpu.verify(slice_)
        except (GpuUnavailable, GpuFault) as error:
            return error.message
        return changed or self._users(slice_.uuid, lambda: False)

    def _users(
        self, uuid: str, is_empty: Callable[[], bool], patience: float | None = None
    ) -> str | None:
        """Return the users of a slice as text, or why they are unknown; None if it is unused.

        ``is_empty`` reports whether the container is proven empty: used if NVML gives no answer.
        """
        try:
            result = self._allowed.others(self._gpu.processes(uuid, patience))
        except GpuPermission:
            self._health.processes_hidden = True
            return None if is_empty() else "processes that NVML refuses to list"
        except GpuGone as gone:
            # An instance with a process cannot be destroyed, so only its container used it.
            return None if is_empty() else gone.message
        except (GpuUnavailable, GpuFault) as error:
            return error.message
        return "process " + ", ".join(str(p.pid) for p in result) if result else None

    def prove(self, action: ProveIdle, post: Callable[..., None]) -> None:
        """Watch the slices of an ended attempt until each is free, for 60 s at most."""
        left = dict.fromkeys(action.uuids, "not looked at")
        container_id = self._gone(action) or action.container_id

        def is_empty() -> bool:
            return container_id is None or self._is_empty(container_id)

        until = clock.now().boot + PROOF_SECONDS
        while left and clock.now().boot < until:
            for uuid in list(left):
                why = self._users(uuid, is_empty)
                if why is None:
                    del left[uuid]
                    post(SlicesIdle(action.job, action.attempt, (uuid,)))
                else:
                    left[uuid] = why
            if left:
                clock.sleep(POLL_SECONDS)
        for uuid, why in left.items():
            text = f"not proven free {PROOF_SECONDS:g} s after job {action.ref} ended: {why}"
            post(SliceStuck(action.job, action.attempt, uuid, text))

    def _is_empty(self, container_id: str) -> bool:
        return bool(container_id) and self._containers.is_empty(container_id)

    def _gone(self, action: ProveIdle) -> str | None:
        """Wait until the container is observed not running; returns its id, None if removed."""
        name = action.container_name
        while True:
            try:
                result = self._containers.find(name, action.container_id)
                if result is None or not result.running:
                    return result.id if result else None
            except (EngineUnavailable, EngineError) as error:
                about_container(log, name).info("cannot inspect %s yet: %s", name, error.message)
            clock.sleep(POLL_SECONDS)
