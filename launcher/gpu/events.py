"""Floor 2: waits for the XIDs of all GPUs while NVML is open, even if it is closed meanwhile.

NVML reports no earlier events. After every opening the GPUs are registered again, and those that
were missing or did not answer are retried.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import time

from launcher.core.model.gpu import Xid
from launcher.errors import GpuFault, GpuLost, GpuPermission, GpuSilent, GpuUnavailable
from launcher.gpu.calls import asking, nvml, nvml_events
from launcher.gpu.inventory import GpuReader
from launcher.gpu.session import MACHINE

log = logging.getLogger(__name__)

RENEW_SECONDS = 30.0


class Events:
    """One event set over all GPUs of a reader; one thread waits on it."""

    def __init__(self, reader: GpuReader) -> None:
        self._session = reader.session
        self._number: int | None = None
        self._set: nvml.Handle = None
        self._gpus: dict[int, str] = {}
        self._renew = 0.0
        self._warned: set[str] = set()

    def wait(self, seconds: float) -> Xid | None:
        """Return the next XID, None if none came within ``seconds``.

        GpuUnavailable or GpuFault if NVML cannot be used now: wait a little, then call again.
        """
        with self._session.watching(seconds) as number:
            if number is None:
                return None
            try:
                return self._wait(number, seconds)
            except asking.NvmlClosed:
                self._number = None  # the driver was reloaded
                self._session.reopen()
            except GpuFault:
                self._give_up()
                raise
        return None

    def _give_up(self) -> None:
        """Start over the next time; the set is freed if that is possible."""
        self._number = None
        with contextlib.suppress(GpuFault, GpuUnavailable, asking.NvmlClosed):
            nvml_events.free(self._set)

    def _wait(self, number: int, seconds: float) -> Xid | None:
        if number != self._number:
            self._set, self._gpus = nvml_events.event_set(), {}
            self._number, self._renew = number, 0.0
        if time.monotonic() >= self._renew:
            self._register()
            self._renew = time.monotonic() + RENEW_SECONDS
        raised = nvml_events.wait(self._set, round(seconds * 1000))
        uuid = None if raised is None else self._gpus.get(raised.address)
        if raised is None or uuid is None:
            return None
        return Xid(uuid, raised.number, raised.gi, raised.ci)

    def _register(self) -> None:
        """Register every GPU that answers; repeating it is harmless."""
        count = self._session.guard.run(MACHINE, nvml.device_count)
        reads = [
            self._session.submit(f"GPU {i}", functools.partial(self._register_one, i, self._set))
            for i in range(count)
        ]
        for index, read in enumerate(reads):
            try:
                address, uuid, works = read.end()
                self._gpus[address] = uuid
                why = None if works else "it does not report XIDs"
            except (GpuSilent, GpuLost):
                continue  # retried the next time
            except (GpuFault, GpuPermission) as error:
                uuid, why = f"GPU {index}", error.message
            if why is not None and uuid not in self._warned:
                self._warned.add(uuid)
                log.warning("GPU %d: the launcher cannot receive its XIDs: %s", index, why)

    @staticmethod
    def _register_one(index: int, events: nvml.Handle) -> tuple[int, str, bool]:
        gpu = nvml.device_at(index)
        uuid = nvml.device_uuid(gpu)
        if uuid is None:
            raise GpuFault(f"GPU {index} has no UUID")
        return nvml_events.address(gpu), uuid, nvml_events.register(gpu, events)
