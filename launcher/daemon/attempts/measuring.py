"""What running attempts use of the machine, until their end records it.

Of host memory, CPU time and block devices the kernel keeps totals, in the attempt's cgroup. The
use of GPUs is sampled with every look at NVML and kept here: a restart of the daemon loses it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from launcher.core.messages.actions import FollowAttempt
from launcher.core.model.gpu import Slice
from launcher.core.model.ids import is_host
from launcher.core.model.job import State
from launcher.core.model.lease import Attempt
from launcher.core.model.measurement import Measurement
from launcher.core.world.world import World
from launcher.daemon.attempts.exit_witness import ExitWitness
from launcher.daemon.loop.threads import in_thread
from launcher.daemon.machine.slice_samples import SliceSample, SliceSampler
from launcher.gpu import Activity
from launcher.host.cgroup_usage import NO_USAGE, CgroupUsage
from launcher.host.client import HostHelper, HostRefused, HostUnavailable

Holders = Mapping[tuple[int, int], tuple[Slice, ...]]
"""(job, attempt) -> the slices on which it runs."""


@dataclass(frozen=True, slots=True)
class GpuUse:
    """What an attempt was seen to use of its slices.

    ``since`` is when it was first sampled (time.monotonic()); ``seconds`` is the time for which its
    activity is known, ``busy`` the part of it in which something ran.
    """

    since: float
    memory_peak_mib: int | None = None
    seconds: float = 0.0
    busy: float = 0.0

    @property
    def activity_percent(self) -> float | None:
        """The mean activity of its slices, None if it is unknown."""
        return round(100 * self.busy / self.seconds, 1) if self.seconds else None


class Measuring:
    """Measures attempts. It has one entry for each running attempt with slices.

    Its methods are thread-safe; ``sample`` is for the event loop.
    """

    def __init__(
        self,
        witness: ExitWitness,
        sampler: SliceSampler,
        world: Callable[[], World],
        changed: Callable[[], None],
    ) -> None:
        """``changed`` is called when the samples of slices differ from the last ones."""
        self._witness, self.sampler = witness, sampler
        self._world, self._changed = world, changed
        self._gpu: dict[tuple[int, int], GpuUse] = {}

    async def sample(self, uuids: list[str]) -> None:
        """Sample slices, and credit what they show to the attempts on them."""
        before, began = holders_of(self._world()), time.monotonic()
        held = [each for slices in before.values() for each in slices]
        changed, activity = await in_thread(
            "samples", lambda: (self.sampler.sample(uuids), self.sampler.activity(held))
        )
        if changed:
            self._changed()
        self.note_samples(before, holders_of(self._world()), activity, began)

    def note_samples(
        self, before: Holders, now: Holders, activity: Mapping[str, Activity], began: float
    ) -> None:
        """Credit the last samples of slices to the attempts that ran before and after them.

        ``activity`` is by UUID, since the sample before; ``began`` is when sampling began.
        """
        self._gpu = {
            key: self._with_samples(
                self._gpu.get(key, GpuUse(began)), slices, [activity.get(s.uuid) for s in slices]
            )
            for key, slices in now.items()
            if before.get(key) == slices
        }

    def _with_samples(
        self, use: GpuUse, slices: Sequence[Slice], activity: Sequence[Activity | None]
    ) -> GpuUse:
        memory = _sum(memory_of(each, self.sampler.of(each.uuid)) for each in slices)
        if memory is not None:
            use = replace(use, memory_peak_mib=max(memory, use.memory_peak_mib or 0))
        known = [each for each in activity if each is not None]
        ran_for = time.monotonic() - use.since
        if len(known) < len(slices) or any(each.seconds > ran_for for each in known):
            return use  # the sample before is of a time before this attempt
        seconds = sum(each.seconds for each in known) / len(known)
        busy = seconds * sum(each.percent for each in known) / len(known) / 100
        return replace(use, seconds=use.seconds + seconds, busy=use.busy + busy)

    def of_container(self, action: FollowAttempt) -> Measurement:
        """Return what a container used until its end."""
        usage = self._witness.usage_of(action.container_name)
        return self.of_usage(action.job, action.attempt, usage)

    def of_usage(self, job: int, attempt: int, usage: CgroupUsage) -> Measurement:
        """Return what an attempt used, with the totals of its cgroup."""
        use = self._gpu.get((job, attempt))
        if use is None:
            return Measurement(**asdict(usage))
        return Measurement(
            **asdict(usage),
            gpu_memory_peak_mib=use.memory_peak_mib,
            gpu_activity_percent=use.activity_percent,
        )

    def so_far(self, attempt: Attempt, helper: HostHelper | None) -> Measurement:
        """Return what a running attempt has used so far; ``helper`` knows the host jobs. Blocks."""
        name = attempt.container_name
        if is_host(name):
            usage = NO_USAGE if helper is None else _usage_on_host(helper, name)
        else:
            usage = self._witness.usage_of(name)
        return self.of_usage(attempt.job, attempt.number, usage)


def holders_of(world: World) -> Holders:
    """Return the running attempts that have slices, with these."""
    return {
        (job_id, world.jobs[job_id].attempt): tuple(lease.slice for lease in leases)
        for job_id, leases in world.leases.items()
        if leases and world.jobs[job_id].state is State.RUNNING
    }


def memory_of(slice_: Slice, sample: SliceSample) -> int | None:
    """Return the used memory of a slice in MiB, None if it is unknown.

    Where devices share memory, it is that of the processes on this one.
    """
    if not slice_.memory_shared:
        return sample.memory_used_mib
    if sample.processes is None:
        return None
    return _sum(process.memory_mib for process in sample.processes)


def _sum(values: Iterable[int | None]) -> int | None:
    """Return the sum of values, None if one of them is unknown."""
    total = 0
    for value in values:
        if value is None:
            return None
        total += value
    return total


def _usage_on_host(helper: HostHelper, name: str) -> CgroupUsage:
    try:
        tree, _ = helper.state(name)
    except (HostUnavailable, HostRefused):
        return NO_USAGE
    return NO_USAGE if tree is None else tree.usage
