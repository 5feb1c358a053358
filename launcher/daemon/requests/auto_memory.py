"""``gpus: {memory: auto}``: the GPU memory of a job, from what earlier jobs of its name used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from launcher.core.scheduling.right_sizing import with_margin
from launcher.daemon.loop.committer import Committer
from launcher.errors import UserError
from launcher.spec.job_spec import JobSpec
from launcher.store import Reader

MOST_JOBS = 20
"""The newest completed jobs that are examined."""
MOST_NAMES = 100
"""The most names in one submit: each is a query."""


@dataclass(frozen=True, slots=True)
class AutoMemory:
    """The memory that was chosen for jobs of a name, in MiB, and the jobs that it comes from."""

    name: str
    mib: int
    peak_mib: int
    jobs: int

    def __str__(self) -> str:
        jobs = f"{self.jobs} earlier job{'s' * (self.jobs != 1)}"
        return f"{self.name} gets {self.mib} MiB of GPU memory: {jobs} used up to {self.peak_mib}"


async def with_memory(
    committer: Committer, uid: int, jobs: Sequence[JobSpec]
) -> tuple[list[JobSpec], list[AutoMemory]]:
    """Return jobs with numbers in place of ``auto``, and what was chosen for each name.

    Raises ``UserError`` if no earlier job of a name tells how much it needs, and for requests of
    anything but one slice by its memory.
    """
    chosen: dict[str, AutoMemory] = {}
    result: list[JobSpec] = []
    for job in jobs:
        _check(job)
        if not job.gpus.is_open:
            result.append(job)
            continue
        if job.name not in chosen:
            if len(chosen) == MOST_NAMES:
                raise UserError(
                    f"gpus: `memory: auto` for more than {MOST_NAMES} names in one submit",
                    fix="Submit them in parts, or write a size such as 10g.",
                )
            chosen[job.name] = await _choice(committer, uid, job.name)
        gpus = replace(job.gpus, memory_mib=chosen[job.name].mib)
        result.append(replace(job, gpus=gpus))
    return result, list(chosen.values())


def _check(job: JobSpec) -> None:
    gpus = job.gpus
    named = gpus.memory_gb is not None
    if gpus.memory_auto and (gpus.kind != "memory" or gpus.count != 1 or named):
        raise UserError(
            f"{job.name}: gpus: `memory: auto` is for one slice, by its memory alone",
            fix="Leave the other keys out, or write a size such as 10g.",
        )


async def _choice(committer: Committer, uid: int, name: str) -> AutoMemory:
    """Return the highest peak with its margin; at most the slice on which it was enough."""
    peaks = await committer.read(Reader.gpu_peaks, uid, name, MOST_JOBS)
    if not peaks:
        raise UserError(
            f"gpus: `memory: auto` takes the memory from earlier jobs, and no completed job of"
            f" yours named '{name}' was measured on one slice",
            fix="Write a size for the first one: `memory: 10g`, or `--gpu-memory 10g`.",
        )
    peak, size = max(peaks)
    return AutoMemory(name, min(with_margin(peak), size), peak, len(peaks))
