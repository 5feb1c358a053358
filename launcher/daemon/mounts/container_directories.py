"""Directories of a container that are in its mounts: they must be there before it starts.

runc makes a missing working directory, and the place of an image's volume, as root. Below a mount
that is in the user's tree, or where a symlink there leads. So the helper of pins opens each as the
user, without following a symlink, when it pins the mount.

The user can put a symlink there between the pin and the start, which no pin can prevent. With
a runc that has CVE-2024-21626 that symlink could lead out of the container, so such a runc gets no
working directory below a mount. With any other the symlink stays inside the container: at worst
runc makes an empty directory in another of the job's writable mounts.
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
"""What a directory of the container is called, and its path there."""
WORKING_DIR, IMAGES_DIR, VOLUME = "working_dir", "the image's WORKDIR", "the image's VOLUME"


@dataclass(frozen=True, slots=True)
class Directories:
    """``config`` tells what an image brings along; ``runc_fixed`` whether runc keeps a working
    directory in its container. Both are blocking, and raise as Docker's calls do."""

    config: Callable[[str], ImageConfig]
    runc_fixed: Callable[[], bool]

    def of(self, spec: JobSpec, image_id: str) -> list[Place]:
        """Return the directories of a job's container that runc looks for at its start."""
        brought = self.config(image_id)
        first = own(spec)
        if not first and brought.working_dir:
            first = [(IMAGES_DIR, brought.working_dir)]
        return first + [(VOLUME, path) for path in brought.volumes]

    def checked(self, spec: JobSpec, image_id: str) -> list[Place]:
        """Return the same; raises ``PinRefused`` for a working directory that is not safe."""
        places = self.of(spec, image_id)
        working = [place for place in places if place[0] != VOLUME]
        for field, _ in (inner for bind in spec.volumes for inner in inside(bind, working)):
            if not self.runc_fixed():
                raise PinRefused(
                    f"{field} is below a mount, and the runc of this machine follows a symlink "
                    "there out of the container (CVE-2024-21626, rule working-dir)",
                    fix="Name the mount's own place or a directory of the image, or have an admin "
                    "upgrade runc to 1.1.12 or later.",
                )
        return places

    def check_local(self, asked: PolicyInput, image_id: str) -> None:
        """Raise ``PinRefused`` where a user's own daemon would have a directory made by root."""
        if asked.person.owner.uid != os.getuid() or os.getuid() == 0:
            return
        places = self.of(asked.spec, image_id)
        for bind in asked.spec.volumes:
            for field, path in inside(bind, places):
                if not Path(bind.source, path).is_dir():
                    raise PinRefused(
                        f"{field} does not exist in {bind.source}", fix="Make it first."
                    )


def own(spec: JobSpec) -> list[Place]:
    """Return the working directory that a job asks for, if it does."""
    return [] if spec.working_dir is None else [(WORKING_DIR, spec.working_dir)]


def inside(bind: Mount, places: Sequence[Place]) -> Iterator[tuple[str, str]]:
    """Yield what is below a mount: what to call it, and its path from there."""
    target = normal(bind.target)
    for field, place in places:
        path = normal(place)
        if path.startswith(f"{target}/"):
            yield f"{field} {path}", path.removeprefix(f"{target}/")
