"""The GPU memory of `memory: auto`: from the peaks of earlier jobs of the same name."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from launcher.core.scheduling.right_sizing import with_margin
from launcher.daemon.requests.auto_memory import MOST_JOBS, MOST_NAMES, AutoMemory, with_memory
from launcher.errors import UserError
from launcher.spec.gpus import GpuRequest
from launcher.spec.job_spec import JobSpec

AUTO = GpuRequest(kind="memory", memory_auto=True)
SIZE = 11968


class History:
    """Peaks of earlier jobs by their name, in the place of the database."""

    def __init__(self, **peaks: list[tuple[int, int]]) -> None:
        self.peaks, self.asked = peaks, list[str]()

    async def read(self, _: object, uid: int, name: str, most: int) -> list[tuple[int, int]]:
        assert (uid, most) == (1000, MOST_JOBS)
        self.asked.append(name)
        return self.peaks.get(name, [])

    def resolve(self, *jobs: JobSpec) -> tuple[list[JobSpec], list[AutoMemory]]:
        committer: Any = self
        return asyncio.run(with_memory(committer, 1000, jobs))


def job(name: str = "train", gpus: GpuRequest = AUTO) -> JobSpec:
    return JobSpec(name, "busybox", gpus)


def test_the_memory_is_the_highest_peak_and_its_margin() -> None:
    (sized,), (chosen,) = History(train=[(500, SIZE), (3174, SIZE), (12, SIZE)]).resolve(job())
    assert sized.gpus.memory_mib == chosen.mib == with_margin(3174)
    assert sized.gpus.memory_auto
    assert not sized.gpus.is_open
    assert str(chosen) == "train gets 3748 MiB of GPU memory: 3 earlier jobs used up to 3174"


def test_the_slice_on_which_the_peak_was_enough_is_enough() -> None:
    (sized,), _ = History(train=[(500, SIZE), (5900, 5952)]).resolve(job())
    assert sized.gpus.memory_mib == 5952


def test_other_requests_stay_as_they_are_and_read_nothing() -> None:
    history = History()
    others = [job(gpus=GpuRequest()), job(gpus=GpuRequest(kind="memory", memory_gb=10))]
    assert history.resolve(*others) == (others, [])
    assert history.asked == []


def test_what_was_chosen_once_stays_when_the_job_runs_again() -> None:
    again = job(gpus=GpuRequest(kind="memory", memory_mib=4000, memory_auto=True))
    assert History().resolve(again) == ([again], [])


def test_each_name_is_looked_up_once() -> None:
    history = History(a=[(100, SIZE)], b=[(200, SIZE)])
    sized, chosen = history.resolve(job("a"), job("b"), job("a"))
    assert [each.gpus.memory_mib for each in sized] == [366, 476, 366]
    assert history.asked == [each.name for each in chosen] == ["a", "b"]


def test_without_an_earlier_job_the_error_says_what_to_write() -> None:
    with pytest.raises(UserError, match="no completed job of yours named 'train'") as refused:
        History().resolve(job())
    assert "memory: 10g" in str(refused.value.fix)


@pytest.mark.parametrize(
    "gpus",
    [
        GpuRequest(kind="full", memory_auto=True),
        GpuRequest(kind="memory", count=2, memory_auto=True),
        GpuRequest(kind="memory", memory_gb=5, memory_auto=True),
    ],
)
def test_auto_is_for_one_slice_by_its_memory_alone(gpus: GpuRequest) -> None:
    with pytest.raises(UserError, match="one slice, by its memory alone"):
        History(train=[(100, SIZE)]).resolve(job(gpus=gpus))


def test_a_submit_has_a_bound_of_names() -> None:
    names = [f"n{number}" for number in range(MOST_NAMES + 1)]
    history = History(**{name: [(1, SIZE)] for name in names})
    with pytest.raises(UserError, match=f"more than {MOST_NAMES} names"):
        history.resolve(*map(job, names))
    assert len(history.asked) == MOST_NAMES
