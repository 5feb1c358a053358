"""The metrics under their names: conventions of Prometheus, labels, and what they cost."""

from __future__ import annotations

import inspect
import re

import pytest

from launcher import wire
from launcher.core.messages.changes import Quarantine
from launcher.core.model.gpu import FULL
from launcher.daemon.api.views import metric_views as views
from launcher.daemon.api.views.job_views import slice_word
from launcher.daemon.metrics.daemon_metrics import DaemonMetrics
from tests.support.builders import CPU, Machine, a30, mig, profile, whole


def families(machine: Machine, metrics: DaemonMetrics) -> dict[str, wire.MetricFamily]:
    world = machine.world
    every = [
        *views.job_families(world, metrics),
        *views.slice_families(world, metrics, lambda uuid: 512, machine.time.boot),
        *views.daemon_families(world, metrics, (0.5, 0.25), (10, 100)),
    ]
    assert len({each.name for each in every}) == len(every)
    return {each.name.removeprefix("launcher_"): each for each in every}


def value(family: wire.MetricFamily, **labels: str) -> float:
    (found,) = [s.value for s in family.samples if labels.items() <= s.labels.items()]
    return found


@pytest.fixture
def machine() -> Machine:
    slices = [*(mig(i) for i in range(4)), whole("GPU-b", 1)]
    return Machine(slices=slices, gpus=[a30(), a30("GPU-b", False)])


def test_names_are_as_prometheus_wants_them(machine: Machine) -> None:
    for name, family in families(machine, DaemonMetrics()).items():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name), name
        assert not name.endswith("_total"), "the library adds it to counters"
        assert family.help.endswith("."), name
        assert len({tuple(sample.labels) for sample in family.samples}) <= 1, name
        if family.kind == "histogram":
            assert name.endswith("_seconds")


def test_jobs_are_counted_by_state(machine: Machine) -> None:
    running, *_ = machine.submit(*[profile() for _ in range(6)], CPU)
    machine.run(running)
    found = families(machine, DaemonMetrics())["jobs"]
    assert {s.labels["state"]: s.value for s in found.samples} == {
        "pending": 2, "starting": 4, "running": 1, "completing": 0,
    }  # fmt: skip
    assert families(machine, DaemonMetrics())["queue_depth"].samples[0].value == 2


def test_slices_are_counted_by_state_and_profile_with_zeros(machine: Machine) -> None:
    machine.submit(profile())
    machine.world.quarantine(mig(3).uuid, Quarantine("a process is left"))
    found = families(machine, DaemonMetrics())["slices"]
    assert value(found, state="leased", profile="1g.6gb") == 1
    assert value(found, state="quarantined", profile="1g.6gb") == 1
    assert value(found, state="free", profile=FULL) == 1
    assert value(found, state="quarantined", profile=FULL) == 0
    assert sum(sample.value for sample in found.samples) == 5


def test_every_word_for_a_slice_has_a_sample(machine: Machine) -> None:
    words = set(re.findall(r'"([a-z]+)"', inspect.getsource(slice_word)))
    assert words == set(views.SLICE_WORDS)


def test_a_slice_is_named_as_dcgm_names_it(machine: Machine) -> None:
    (job,) = machine.submit(profile())
    (uuid,) = job.slices
    samples = families(machine, DaemonMetrics())["slice_info"].samples
    labels = next(s.labels for s in samples if s.labels["uuid"] == uuid)
    assert (labels["UUID"], labels["GPU_I_ID"]) == ("GPU-a", uuid[-1])
    assert (labels["user"], labels["GPU_I_PROFILE"]) == (job.owner.name, "1g.6gb")
    labels = next(s.labels for s in samples if s.labels["profile"] == FULL)
    assert (labels["UUID"], labels["GPU_I_ID"], labels["GPU_I_PROFILE"]) == ("GPU-b", "", "")


def test_memory_is_in_bytes_and_a_gpu_that_does_not_answer_is_down(machine: Machine) -> None:
    machine.world.silent["GPU-b"] = "it fell off the bus"
    found = families(machine, DaemonMetrics())
    assert value(found["gpu_memory_used_bytes"], uuid="GPU-b") == 512 * 2**20
    assert value(found["gpu_up"], gpu="GPU-b") == 0
    assert value(found["gpu_up"], gpu="GPU-a") == 1


def test_an_unknown_disk_has_no_figures() -> None:
    shown = views.daemon_families(Machine().world, DaemonMetrics(), (0, 0), None)
    assert not [each.name for each in shown if "disk" in each.name]
