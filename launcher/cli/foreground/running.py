"""A job in the foreground: queued first, and followed to its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from launcher.cli.foreground.interrupts import Interrupts
from launcher.client import Client
from launcher.errors import DaemonUnreachable

if TYPE_CHECKING:
    from launcher.spec.job_spec import JobSpec
    from launcher.wire import RegistryAuth


def run_in_foreground(
    client: Client,
    request: JobSpec,
    credentials: Mapping[str, RegistryAuth],
    *,
    quiet: bool,
    raw: bool = False,
) -> int:
    """Queue the job, stay with it to its end, and return its exit status."""
    with Interrupts(client) as interrupts:
        job = client.submit([request], credentials)[0]
        interrupts.queued(job.id)
        # Loaded while the container starts, not before the job is queued.
        from launcher.cli.foreground.following import Narrator, end_status, follow
        from launcher.cli.foreground.outlook import Outlook

        narrator = Narrator(job.id, request.image, quiet=quiet, outlook=Outlook(client, job.id))
        try:
            end = follow(client, job, narrator, interrupts, raw=raw)
        except DaemonUnreachable as error:
            error.fix = f"The job goes on without it: `launch wait {job.id}` when it is back."
            raise
    return end_status(end, narrator, interrupts, quiet=quiet)
