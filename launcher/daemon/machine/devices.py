"""How the devices of slices are requested from Docker: under which driver, or not at all."""

from __future__ import annotations

from launcher.daemon.loop.health import Health
from launcher.engine.containers import Containers
from launcher.engine.spec import gpu_driver
from launcher.gpu import GpuReader
from launcher.gpu.stand_in import HOOK_LABEL


class Devices:
    """The devices that containers are given on this machine. Thread-safe.

    The fake GPU has no devices, so an ordinary Docker cannot provide them. They are requested
    nevertheless if a label of dockerd says that it has the fake GPU's hook.
    """

    def __init__(self, gpu: GpuReader, containers: Containers, health: Health) -> None:
        self._gpu, self._containers, self._health = gpu, containers, health
        self._has_hook: bool | None = None

    def are_given(self) -> bool:
        """Return whether containers are given devices.

        Raises ``EngineUnavailable``, ``Refused`` or ``Unknown`` if Docker has to be asked first.
        """
        if not self._gpu.is_stand_in():
            return True
        if self._has_hook is None:
            self._has_hook = self._containers.has_label(HOOK_LABEL)
        return self._has_hook

    def driver(self) -> str | None:
        """Return the driver of device requests, None if there are no such requests.

        Docker may have been upgraded since the last call. Raises as ``are_given`` does.
        """
        if not self.are_given():
            return None
        return gpu_driver(self._health.docker_version or self._containers.engine_version())
