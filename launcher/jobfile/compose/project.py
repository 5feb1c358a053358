"""What the services of a Compose file share while they become jobs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from launcher.errors import JobFileError
from launcher.jobfile.values.nodes import Node, Scalar
from launcher.jobfile.variables.notices import Notices

Entry = tuple[Scalar, Node]
WHOLE = "Write `docker compose config > whole.yaml`, and submit that file."
"""What to do about what is in other files."""


@dataclass
class Project:
    """The services that become jobs, the secrets, and what to tell the caller."""

    services: Collection[str]
    taken: Collection[str]
    secrets: Mapping[str, Node]
    notices: Notices
    ignored: dict[str, None] = field(default_factory=dict)
    """Keys without a meaning for a job, in their order."""

    def ignore(self, name: str) -> None:
        """Note a key that changes nothing for a job."""
        self.ignored[name] = None


def renamed(key: Scalar, name: str, value: Node) -> Entry:
    """Return an entry of a job at the place of a service's key."""
    return Scalar(*key.where(), name, name), value


def cannot(key: Scalar, why: str, *, name: str | None = None) -> JobFileError:
    """Return the error for a key that a job cannot have."""
    return key.error(f"a job cannot have `{name or key.text}`: {why}")
