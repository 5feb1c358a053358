"""Directories of a container inside its mounts, which must exist before it starts.

runc creates a missing working directory, and the place of an image's volume, as root. Below a mount
that is the user's tree, or the target of a symlink in it. So the mount helper opens each directory
as the user, without following symlinks, when it pins the mount.

The user can create a symlink between the pin and the start, which no pin can prevent. With a runc
that has CVE-2024-21626 that symlink could lead out of the container, so such a runc gets no working
directory below a mount. With any other runc the symlink stays inside the container: at worst runc
creates an empty directory in another of the job's writable mounts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.core.policy.policy import PolicyInput, normal
from launcher.engine.images import ImageConfig
from launcher.errors import PinRefused
from launcher.spec.job_spec import JobSpec, Mount

Place = tuple[str, str]
"""The label of a container's directory, and its path there."""
WORKING_DIR, IMAGES_DIR, VOLUME = "working_dir", "the image's WORKDIR", "the image's VOLUME"


@dataclass(frozen=True, slots=True)
class Directories:
    """``config`` returns an image's defaults; ``runc_fixed`` whether runc confines a working
    directory to its container. Both block, and raise as Docker's calls do."""

    config: Callable[[str], ImageConfig]
    runc_fixed: Callable[[], bool]

    def of(self, spec: JobSpec, image_id: str) -> list[Place]:
        """Return the directories in a job's container that runc expects at its start."""
        brought = self.config(image_id)
        first = own(spec)
        if not first and brought.working_dir:
            first = [(IMAGES_DIR, brought.working_dir)]
        return first + [(VOLUME, path) for path in brought.volumes]

    def checked(self, spec: JobSpec, image_id: str) -> list[Place]:
        """As ``of``; raises ``PinRefused`` for a working directory that is not safe."""
        places = self.of(spec, image_id)
        working = [place for place in places if place[0] != VOLUME]
        for field, _ in (inner for bind in spec.volumes for inner in inside(bind, working)):
            if not self.runc_fixed():
                raise PinRefused(
                    f"{field} is below a mount, and the runc of this machine follows a symlink "
                    "there out of the container (CVE-2024-21626, rule working-dir)",
                    fix="Use the mount's own path or a directory of the image, or have an admin "
                    "upgrade runc to 1.1.12 or later.",
                )
        return places

    def check_local(self, request: PolicyInput, image_id: str) -> None:
        """Raise ``PinRefused`` if root would create a directory for a per-user daemon's job."""
        if request.person.owner.uid != os.getuid() or os.getuid() == 0:
            return
        places = self.of(request.spec, image_id)
        for bind in request.spec.volumes:
            for field, path in inside(bind, places):
                if not Path(bind.source, path).is_dir():
                    raise PinRefused(
                        f"{field} does not exist in {bind.source}", fix="Create it first."
                    )


def own(spec: JobSpec) -> list[Place]:
    """Return the working directory that a job requests, if any."""
    return [] if spec.working_dir is None else [(WORKING_DIR, spec.working_dir)]


def inside(bind: Mount, places: Sequence[Place]) -> Iterator[tuple[str, str]]:
    """Yield the places below a mount: a label, and the path from the mount."""
    target = normal(bind.target)
    for field, place in places:
        path = normal(place)
        if path.startswith(f"{target}/"):
            yield f"{field} {path}", path.removeprefix(f"{target}/")
