"""The client: one method per request to the daemon, typed as in ``launcher.wire``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from launcher.client.base import Ref
from launcher.client.following import Following
from launcher.client.jobs import JobRequests
from launcher.client.machine import MachineRequests

if TYPE_CHECKING:
    from typing import Unpack

    from launcher.client.handles.job import Job
    from launcher.client.handles.job_fields import JobFields
    from launcher.client.handles.results import MapResults
    from launcher.client.handles.values import Command
    from launcher.client.image import Image
    from launcher.client.layout import Layout
    from launcher.client.queue import Queue
    from launcher.client.terminal import Terminal
    from launcher.wire import JobSpec, RegistryAuth

V = TypeVar("V")


class Client(JobRequests, Following, MachineRequests):
    """A connection to the daemon. Every method is one request and raises ``LauncherError``.

    ``socket`` is the path of the daemon's socket, ``unix:///PATH``, or ``ssh://USER@HOST`` for a
    daemon on another machine. Without it ``LAUNCHER_HOST`` or ``LAUNCHER_SOCKET`` names the daemon,
    else the system's and the user's own are tried. ``notice`` receives messages that are not
    errors: a version difference, or a wait for the daemon. ``role="observer"`` gives up all rights
    but to read what every user sees.

    An ssh connection is made by the first request, serves all of them, and ends with ``close()``,
    a ``with`` block, or the client itself.
    """

    def run(
        self,
        image: str,
        command: str | Sequence[str] | None = None,
        *,
        profile: str | None = None,
        **fields: Unpack[JobFields],
    ) -> Job:
        """Queue one job and return it; ``profile`` is that of its slice, such as ``1g.6gb``.

        The other arguments are the fields of ``JobSpec``. Without a profile and ``gpus`` the job
        gets no GPU. A command that is one text is split as a shell would. The user's registry
        credentials are used as ``docker pull`` does.
        """
        from launcher.client.handles.job import job_of
        from launcher.client.handles.specs import job_spec

        spec = job_spec(image, command, profile, fields)
        return job_of(self, self.submit([spec], credentials_of(spec)), "")

    def map(
        self,
        image: str,
        command: Command[V],
        values: Iterable[V],
        *,
        profile: str | None = None,
        max_parallel: int | None = None,
        **fields: Unpack[JobFields],
    ) -> MapResults[V]:
        """Queue one array with an element for each value, and return their results as they come.

        ``{}`` in the command is the value; of values that are dicts ``{key}`` is that of a key. Or
        the command is a function that returns the words for a value. Values are passed exactly:
        nothing in them is expanded. At most ``max_parallel`` elements run at once.
        """
        from launcher.client.handles.results import MapResults
        from launcher.client.handles.specs import map_spec, map_values

        chosen = map_values(values)
        if not chosen:
            return MapResults(self, [], [])
        spec = map_spec(image, command, chosen, profile, max_parallel, fields)
        return MapResults(self, chosen, self.submit([spec], credentials_of(spec)))

    def job(self, ref: Ref) -> Job:
        """Return an existing job or array: by id, name, ``last``, or as an element ``42[0]``."""
        from launcher.client.handles.job import job_of

        return job_of(self, self.jobs([ref]), str(ref))

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
    def terminal(self) -> Terminal:
        """Requests about the terminals of running jobs."""
        from launcher.client.terminal import Terminal

        return Terminal(self._transport, self.timeout)

    @property
    def layout(self) -> Layout:
        """Requests about the layout of the GPUs."""
        from launcher.client.layout import Layout

        return Layout(self._transport.json, self.timeout)


def credentials_of(spec: JobSpec) -> dict[str, RegistryAuth]:
    """Return the user's credentials for the registry of a job's image; often none."""
    from launcher.client.credentials import credentials_for

    return credentials_for([spec.image] if spec.image else [])
