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
            uuid, lease = state.slice.uuid, state.lease
            attempt = (lease.job, lease.attempt) if lease is not None else None
            of, peak = before.get(uuid, (None, 0))
            if attempt is not None and attempt != of:
                of, peak = attempt, 0
            used = used_of(uuid)
            if attempt is not None and used is not None:
                peak = max(peak, used)
            if of is not None:
                self._peaks[uuid] = of, peak

    def of(self, uuid: str) -> int | None:
        """Return the peak of a slice, None if no job had it since the start of the daemon."""
        found = self._peaks.get(uuid)
        return None if found is None else found[1]
