"""The activity of slices, by GPM: of boards that have it, else unknown and never zero."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pynvml
import pytest

from launcher.core.model.gpu import Slice
from launcher.fakegpu import Machine
from launcher.gpu import Activity, GpuReader
from launcher.gpu.activity import LEAST_SECONDS
from launcher.wire import GpuRequest
from tests.conftest import MakeDaemon
from tests.support.machines import build_directory  # noqa: F401
from tests.support.wait import wait_until

Make = Callable[[str], tuple[Machine, GpuReader, list[Slice]]]
HOPPER = "H100-80GB:1g.10gb*2"
GPUS = GpuRequest(kind="profile", profile="1g.10gb")


@pytest.fixture
def made(build_directory: Path, tmp_path: Path) -> Iterator[Make]:  # noqa: F811
    machines: list[tuple[Machine, GpuReader]] = []

    def make(spec: str) -> tuple[Machine, GpuReader, list[Slice]]:
        machine = Machine.create(tmp_path / f"machine-{len(machines)}", spec)
        machine.load(build_directory)
        reader = GpuReader(5.0)
        machines.append((machine, reader))
        return machine, reader, list(reader.inventory().slices)

    yield make
    for machine, reader in machines:
        reader.close()
        machine.close()


def between(reader: GpuReader, slice_: Slice) -> Activity | None:
    """Return the activity between two samples."""
    reader.activity(slice_)
    until = time.monotonic() + LEAST_SECONDS
    wait_until(lambda: time.monotonic() > until)
    return reader.activity(slice_)


def test_a_slice_tells_its_own_activity(made: Make) -> None:
    machine, reader, (first, second) = made(HOPPER)
    machine.add_process(first.uuid, 7, activity=40)
    one, other = between(reader, first), between(reader, second)
    assert one is not None
    assert other is not None
    assert (one.percent, other.percent) == (40.0, 0.0)
    assert one.seconds >= LEAST_SECONDS


def test_a_whole_gpu_tells_its_activity(made: Make) -> None:
    machine, reader, (whole,) = made("H100-80GB")
    machine.add_process(whole.uuid, 7, activity=75)
    activity = between(reader, whole)
    assert activity is not None
    assert activity.percent == 75.0


@pytest.mark.parametrize("spec", ["A30:1g.6gb*4", "A100-80GB:1g.10gb", "A30"])
def test_boards_before_hopper_tell_nothing_and_are_asked_once(made: Make, spec: str) -> None:
    machine, reader, slices = made(spec)
    machine.add_process(slices[0].uuid, 7, activity=40)
    assert between(reader, slices[0]) is None
    assert machine.calls("nvmlGpmQueryDeviceSupport") == 1
    assert machine.calls("nvmlGpmSampleAlloc") == 0


@pytest.mark.parametrize(
    ("function", "code"),
    [
        ("nvmlGpmQueryDeviceSupport", "FUNCTION_NOT_FOUND"),
        ("nvmlGpmMigSampleGet", "NO_PERMISSION"),
        ("nvmlGpmMigSampleGet", "NOT_SUPPORTED"),
        ("nvmlGpmMetricsGet", "NOT_SUPPORTED"),
    ],
)
def test_what_a_driver_refuses_is_unknown(made: Make, function: str, code: str) -> None:
    machine, reader, slices = made(HOPPER)
    machine.fail(function, code, times=None)
    assert between(reader, slices[0]) is None


def test_a_sample_that_was_refused_is_not_bridged(made: Make) -> None:
    machine, reader, (first, _) = made(HOPPER)
    assert between(reader, first) is not None
    machine.fail("nvmlGpmMigSampleGet", "NO_PERMISSION")
    assert between(reader, first) is None


def test_another_instance_with_the_same_id_begins_anew(made: Make) -> None:
    machine, reader, (first, _) = made(HOPPER)
    assert between(reader, first) is not None
    assert first.gi is not None
    machine.remove_instance(first.gpu_uuid, first.gi)
    machine.add_instance(first.gpu_uuid, "1g.10gb+me", first.placement.start)  # type: ignore[union-attr]
    again = next(s for s in reader.inventory().slices if s.gi == first.gi)
    assert again.identity != first.identity
    assert reader.activity(again) is None


def test_samples_closer_than_nvml_allows_are_not_compared(made: Make) -> None:
    machine, reader, (first, _) = made(HOPPER)
    reader.activity(first)
    assert reader.activity(first) is None
    assert machine.calls("nvmlGpmMigSampleGet") == 1


def test_slices_that_share_an_instance_tell_nothing(made: Make) -> None:
    machine, reader, _ = made("H100-80GB:3g.40gb")
    shared = Slice("MIG-x", machine.gpu_uuids()[0], 0, "1c.3g.40gb", 9, 40448, 1, 0)
    assert shared.memory_shared
    assert reader.activity(shared) is None
    assert machine.calls("nvmlGpmQueryDeviceSupport") == 0


def test_buffers_are_freed_once_nvml_was_opened_again(made: Make) -> None:
    machine, reader, (first, _) = made(HOPPER)
    assert between(reader, first) is not None
    reader.close()
    assert reader.activity(first) is None, "a sample of before is not compared"
    assert machine.calls("nvmlGpmSampleFree") == 2
    assert between(reader, first) is not None


def test_the_fake_refuses_what_the_library_refuses(made: Make) -> None:
    made(HOPPER + ",H100-80GB")
    pynvml.nvmlInit()
    try:
        cut, whole = (pynvml.nvmlDeviceGetHandleByIndex(index) for index in (0, 1))
        sample = pynvml.nvmlGpmSampleAlloc()
        refused: list[tuple[Callable[..., object], tuple[object, ...], type[Exception]]] = [
            (pynvml.nvmlGpmSampleGet, (cut, sample), pynvml.NVMLError_NotSupported),
            (pynvml.nvmlGpmMigSampleGet, (whole, 0, sample), pynvml.NVMLError_NotSupported),
            (pynvml.nvmlGpmMigSampleGet, (cut, 99, sample), pynvml.NVMLError_InvalidArgument),
        ]
        for call, arguments, error in refused:
            with pytest.raises(error):
                call(*arguments)
        pynvml.nvmlGpmSampleFree(sample)
        with pytest.raises(pynvml.NVMLError_InvalidArgument):
            pynvml.nvmlGpmSampleGet(whole, sample)
    finally:
        pynvml.nvmlShutdown()


def test_a_job_shows_the_mean_activity_of_its_slice(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(HOPPER).start()
    job = daemon.until(daemon.submit("sleep", "1000", gpus=GPUS), "RUNNING")
    daemon.machine.add_process(job.slices[0], 1, 500, activity=60)

    def activity() -> float:
        return daemon.client.show(job.id).attempts[-1].gpu_activity_percent or 0.0

    wait_until(lambda: activity() > 20.0)
    daemon.client.cancel(job.id)
    daemon.done(job)
    assert 20.0 < activity() <= 60.0
    assert "GPU activity" in daemon.cli("show", str(job.id)).stdout
