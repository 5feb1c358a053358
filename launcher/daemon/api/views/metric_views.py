"""The daemon's metrics under their names in Prometheus, with their help.

Gauges are read from the world: a step for each slice, GPU and running job, none for jobs that wait.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from launcher import __version__, wire
from launcher.core.model.gpu import FULL
from launcher.core.model.job import State
from launcher.core.model.slice_state import SliceState
from launcher.core.world.world import World
from launcher.daemon.api.views.job_views import slice_word
from launcher.daemon.metrics.amounts import Histogram, LabelledCounter, ProfileHistogram
from launcher.daemon.metrics.daemon_metrics import DaemonMetrics

SLICE_WORDS = (
    "free", "leased", "releasing", "foreign", "drained", "quarantined", "silent", "lost",
)  # fmt: skip
MIB = 2**20
Labelled = Iterable[tuple[dict[str, str], float]]


def family(
    name: str, kind: Literal["counter", "gauge"], text: str, samples: Labelled | float
) -> wire.MetricFamily:
    """Return a metric; a number alone is one sample without labels."""
    if isinstance(samples, int | float):
        samples = [({}, samples)]
    shown = [wire.MetricSample(labels=labels, value=value) for labels, value in samples]
    return wire.MetricFamily(name=f"launcher_{name}", kind=kind, help=text, samples=shown)


def gauge(name: str, text: str, samples: Labelled | float) -> wire.MetricFamily:
    """Return a value that rises and falls."""
    return family(name, "gauge", text, samples)


def counter(name: str, text: str, samples: Labelled | float) -> wire.MetricFamily:
    """Return an amount since the start of the daemon."""
    return family(name, "counter", text, samples)


def histogram(name: str, text: str, observed: Histogram) -> wire.MetricFamily:
    """Return observations by bucket."""
    sample = wire.MetricSample(labels={}, value=observed.total, counts=list(observed.counts))
    return wire.MetricFamily(
        name=f"launcher_{name}",
        kind="histogram",
        help=text,
        samples=[sample],
        bounds=list(observed.bounds),
    )


def histogram_by_profile(name: str, text: str, observed: ProfileHistogram) -> wire.MetricFamily:
    """Return observations by profile and bucket."""
    samples = [
        wire.MetricSample(labels={"profile": profile}, value=each.total, counts=list(each.counts))
        for profile, each in observed.by_profile.items()
    ]
    return wire.MetricFamily(
        name=f"launcher_{name}",
        kind="histogram",
        help=text,
        samples=samples,
        bounds=list(observed.bounds),
    )


def by(label: str, amounts: Mapping[str, float] | LabelledCounter) -> Labelled:
    """Return the samples of amounts by one label."""
    if isinstance(amounts, LabelledCounter):
        amounts = amounts.by_label
    return [({label: value}, amount) for value, amount in amounts.items()]


def job_families(world: World, metrics: DaemonMetrics) -> list[wire.MetricFamily]:
    """Return the metrics about jobs."""
    jobs = metrics.jobs
    return [
        gauge("jobs", "Jobs that have not ended, by state.", by("state", job_states(world))),
        gauge("queue_depth", "Jobs that could start if their slices were free.", len(world.queue)),
        counter("jobs_submitted", "Jobs submitted.", jobs.submitted),
        counter("jobs_started", "Attempts whose process started.", jobs.started),
        counter("jobs_ended", "Jobs that ended, by outcome.", by("outcome", jobs.ended)),
        counter("job_attempts", "Attempts that got their slices.", jobs.attempts),
        counter("job_retries", "Attempts after the first of a job.", jobs.retries),
        counter("job_start_failures", "Attempts that failed to start.", jobs.starts_failed),
        histogram_by_profile(
            "job_wait_seconds", "From submission to the first attempt, by profile.", jobs.wait
        ),
        histogram_by_profile(
            "job_run_seconds", "Run time of the last attempt of ended jobs, by profile.", jobs.run
        ),
        histogram(
            "job_turnaround_seconds", "From submission to the end of the job.", jobs.turnaround
        ),
        counter(
            "image_pulls", "Images that were pulled or could not be.", by("result", metrics.pulls)
        ),
    ]


def job_states(world: World) -> dict[str, float]:
    """Return the number of live jobs by state, without looking at those that wait."""
    active = Counter(world.jobs[job].state for job in world.attempts if job in world.jobs)
    active[State.PENDING] += len(world.jobs) - active.total()
    return {state.value.lower(): active[state] for state in State if state is not State.DONE}


def slice_families(
    world: World, metrics: DaemonMetrics, memory_mib: Callable[[str], int | None], boot: float
) -> list[wire.MetricFamily]:
    """Return the metrics about slices and GPUs; ``boot`` is now in CLOCK_BOOTTIME seconds."""
    states = list(world.slices.values())
    used = {s.slice.uuid: memory_mib(s.slice.uuid) for s in states}
    peaks = {s.slice.uuid: metrics.peaks.of(s) for s in states}
    size = {s.slice.uuid: s.slice.memory_mib for s in states}
    return [
        gauge("slices", "Slices by state and profile.", _slices(world, states)),
        gauge(
            "slice_info",
            "1 for each slice. UUID, GPU_I_ID and GPU_I_PROFILE are labels of NVIDIA's DCGM "
            "exporter; user is the owner of the slice's job.",
            [(_identity(world, state), 1) for state in states],
        ),
        gauge(
            "gpu_memory_used_bytes",
            "GPU memory in use on a slice, as last sampled.",
            _memory(states, used),
        ),
        gauge(
            "gpu_memory_peak_bytes",
            "Most GPU memory sampled on a slice during its current or last attempt.",
            _memory(states, peaks),
        ),
        gauge("gpu_memory_bytes", "GPU memory of a slice.", _memory(states, size)),
        counter(
            "slice_gib_seconds",
            "Memory of leased slices times the time, by user.",
            by("user", metrics.hours.totals(boot)),
        ),
        gauge("gpu_up", "Whether a GPU answers.", _answering(world)),
        counter("quarantines", "Quarantines of slices.", metrics.quarantines),
        counter("gpu_xids", "Errors that the GPU driver reported (XID).", by("xid", metrics.xids)),
    ]


def _answering(world: World) -> Labelled:
    """Return for each GPU, also one that was never read, whether it answers."""
    return [
        ({"gpu": uuid}, not (world.gpu_down or world.why_silent(uuid)))
        for uuid in sorted({*world.gpus, *(each for each in world.silent if each)})
    ]


def _slices(world: World, states: Sequence[SliceState]) -> Labelled:
    """Return the number of slices; a state that no slice of a profile has is shown as 0."""
    counts = Counter((slice_word(world, s), s.slice.profile) for s in states)
    profiles = sorted({s.slice.profile for s in states})
    return [
        ({"state": word, "profile": profile}, counts[word, profile])
        for profile in profiles
        for word in SLICE_WORDS
    ]


def _labels(state: SliceState) -> dict[str, str]:
    place = state.slice
    return {"uuid": place.uuid, "gpu": place.gpu_uuid, "profile": place.profile}


def _identity(world: World, state: SliceState) -> dict[str, str]:
    place, lease = state.slice, state.lease
    job = world.jobs.get(lease.job) if lease is not None else None
    whole = place.profile == FULL
    return _labels(state) | {
        "UUID": place.gpu_uuid,
        "GPU_I_ID": "" if place.gi is None else str(place.gi),
        "GPU_I_PROFILE": "" if whole else place.profile,
        "user": "" if job is None else job.owner.name,
    }


def _memory(states: Iterable[SliceState], mib: Mapping[str, int | None]) -> Labelled:
    return [
        (_labels(state), amount * MIB)
        for state in states
        if (amount := mib[state.slice.uuid]) is not None
    ]


def daemon_families(
    world: World,
    metrics: DaemonMetrics,
    lag: tuple[float, float],
    disk: tuple[int, int] | None,
) -> list[wire.MetricFamily]:
    """Return the metrics about the daemon; ``lag`` is in seconds, ``disk`` (free, total) bytes."""
    info = {"version": __version__, "api_version": str(wire.API_VERSION)}
    return [
        gauge("build_info", "1; the version of the daemon.", [(info, 1)]),
        gauge(
            "start_time_seconds", "When the daemon started, since 1970.", metrics.started_at.wall
        ),
        gauge(
            "start_duration_seconds",
            "How long after its start the daemon had read its records, and had compared them "
            "with Docker and NVML.",
            by("phase", metrics.phases),
        ),
        gauge("docker_up", "Whether Docker answers.", world.engine_down is None),
        gauge("nvml_up", "Whether NVML answers.", world.gpu_down is None),
        counter("outages", "How often Docker or NVML went away.", by("part", metrics.outages)),
        gauge("loop_lag_seconds", "Longest hold-up of the event loop in the last minute.", lag[0]),
        gauge("loop_step_seconds", "The same in processor time of its own.", lag[1]),
        histogram("commit_seconds", "Time of commits to the database.", metrics.commits),
        counter("commit_failures", "Commits that failed.", metrics.commits_failed),
        *(
            ()
            if disk is None
            else (
                gauge("disk_free_bytes", "Free space for the state directory.", disk[0]),
                gauge("disk_size_bytes", "Size of the state directory's file system.", disk[1]),
            )
        ),
    ]
