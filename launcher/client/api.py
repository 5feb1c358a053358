"""The client: one method per request to the daemon, typed as in ``launcher.wire``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.client.following import Following
from launcher.client.jobs import JobRequests
from launcher.client.machine import MachineRequests

if TYPE_CHECKING:
    from launcher.client.image import Image
    from launcher.client.layout import Layout
    from launcher.client.queue import Queue


class Client(JobRequests, Following, MachineRequests):
    """A connection to the daemon. Every method is one request and raises ``LauncherError``.

    ``socket`` is the path of the daemon's socket; without it ``LAUNCHER_SOCKET``, the system's and
    the user's own are tried. ``notice`` receives messages that are not errors: a version
    difference, or a wait for the daemon.
    """

    @property
    def queue(self) -> Queue:
        """Requests about the queue: its order, reasons, forecasts, reservations."""
        from launcher.client.queue import Queue

        return Queue(self._transport.json, self.timeout)

    @property
    def image(self) -> Image:
        """Requests about images that users loaded."""
        from launcher.client.image import Image

        return Image(self._transport, self.timeout)

    @property
    def layout(self) -> Layout:
        """Requests about the layout of the GPUs."""
        from launcher.client.layout import Layout

        return Layout(self._transport.json, self.timeout)
