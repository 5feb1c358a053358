"""The most memory that was sampled on each slice during its current or last attempt."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from launcher.core.model.slice_state import SliceState


class MemoryPeaks:
    """Keeps one peak per slice, as long as NVML reports the slice. Memory is in MiB."""

    def __init__(self) -> None:
        self._peaks: dict[str, tuple[tuple[int, int] | None, int]] = {}
        """UUID -> the attempt that it belongs to (job, number), and the peak."""

    def sampled(self, slices: Iterable[SliceState], used_of: Callable[[str], int | None]) -> None:
        """Take new samples: ``used_of`` returns the memory used on a slice, None if unknown."""
        before, self._peaks = self._peaks, {}
        for state in slices:
            uuid, attempt = state.slice.uuid, _attempt(state)
            of, peak = before.get(uuid, (None, 0))
            if attempt is not None and attempt != of:
                of, peak = attempt, 0
            used = used_of(uuid)
            if attempt is not None and used is not None:
                peak = max(peak, used)
            if of is not None:
                self._peaks[uuid] = of, peak

    def of(self, state: SliceState) -> int | None:
        """Return the peak of a slice, None before the first sample of its attempt."""
        of, peak = self._peaks.get(state.slice.uuid, (None, 0))
        return None if of is None or _attempt(state) not in (None, of) else peak


def _attempt(state: SliceState) -> tuple[int, int] | None:
    """Return the attempt that has a slice (job, number), None if it is free."""
    return None if state.lease is None else (state.lease.job, state.lease.attempt)
