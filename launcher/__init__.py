"""A batch queue and launcher for Docker workloads on the MIG slices of one shared GPU VM.

``from launcher import Client, Job, AsyncClient`` is the Python API; ``launch`` is the command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from launcher.client import Client
    from launcher.client.aio.client import AsyncClient
    from launcher.client.handles.job import Job

__version__ = "0.2.0"
__all__ = ["AsyncClient", "Client", "Job", "__version__"]


def __getattr__(name: str) -> Any:
    """Load the client on first use: importing a room of ours must not pull in the others."""
    if name == "Client":
        from launcher.client import Client

        return Client
    if name == "Job":
        from launcher.client.handles.job import Job

        return Job
    if name == "AsyncClient":
        from launcher.client.aio.client import AsyncClient

        return AsyncClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
