"""Mount roots that are symlinks, such as homes on another file system: resolved for users.

A symlink is followed only in a directory where root alone can have made it. The helper then opens
the resolved root as strictly as any other.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import replace

from launcher.core.policy.policy import PolicyInput
from launcher.core.policy.settings import MountRoot, is_closed
from launcher.spec.job_spec import JobSpec, Mount

MOST_LINKS = 40
"""The maximum number of symlinks in a root's path; Linux's limit (path_resolution(7))."""


def resolved(path: str) -> str:
    """Return a root without symlinks; the same path if it cannot be told or is not safe. Blocks."""
    done, left = "", [part for part in path.split("/") if part]
    for _ in range(MOST_LINKS + len(left)):
        if not left:
            return path if not done or is_closed(done) else done
        name = left.pop(0)
        if name == "..":
            done = os.path.dirname(done)  # noqa: PTH120 - a text
            continue
        try:
            above, here = os.stat(done or "/"), os.lstat(f"{done}/{name}")  # noqa: PTH116
            if not stat.S_ISLNK(here.st_mode):
                done = f"{done}/{name}"
                continue
            if above.st_uid != 0 or above.st_mode & 0o022:
                return path
            target = os.readlink(f"{done}/{name}")  # noqa: PTH115
        except OSError:
            return path
        left = [part for part in target.split("/") if part not in ("", ".")] + left
        done = "" if target.startswith("/") else done
    return path


def as_configured(jobs: Iterable[JobSpec], request: PolicyInput) -> list[JobSpec]:
    """Return jobs whose mounts below a resolved root are named below the configured one. Blocks.

    A client in a home that is a symlink knows its directory by the resolved path.
    """
    result = []
    known: dict[MountRoot, str] = {}
    for job in jobs:
        roots = replace(request, spec=job).roots if job.volumes else ()
        for root in roots:
            if root not in known:
                known[root] = resolved(root.path)
        links = {known[root]: root.path for root in roots if known[root] != root.path}
        if links:
            volumes = tuple(_renamed(bind, links) for bind in job.volumes)
            result.append(replace(job, volumes=volumes))
        else:
            result.append(job)
    return result


def _renamed(bind: Mount, links: dict[str, str]) -> Mount:
    within = [real for real in links if f"{bind.source}/".startswith(f"{real}/")]
    if not within:
        return bind
    real = max(within, key=len)
    return replace(bind, source=links[real] + bind.source[len(real) :])
