"""What the jobs of a submit wait for: by name in the submit, by id otherwise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from launcher.core.messages import events as ev
from launcher.core.model.job import After, Dependency
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.api.handlers.dependencies import Spot, Waiting, waits_of
from launcher.daemon.users.identity import Caller
from launcher.errors import UserError
from launcher.spec.job_spec import ArrayRequest, JobSpec
from tests.support.builders import ALICE
from tests.unit.daemon.api.handlers.test_references import play_context
from tests.unit.daemon.loop.test_event_loop import Daemon

PLACES = {"prep": [Spot(0, None)], "sweep": [Spot(1, [0, 1, 5])]}
Body = Callable[[Context, Daemon], Awaitable[None]]


async def _waits(context: Context, *, indices: list[int] | None = None, **on: Any) -> Waiting:
    array = None if indices is None else ArrayRequest(indices=indices)
    spec = JobSpec("after", "x", depends_on=on["on"], depends_any=on.get("any", False), array=array)
    return await waits_of(context, Caller(ALICE, admin=False), spec, PLACES)


def test_a_job_of_the_submit_is_meant_by_its_place_an_array_by_its_first(tmp_path: Path) -> None:
    async def body(context: Context, made: Daemon) -> None:
        waits = await _waits(context, on={"prep": "afterany", "sweep": "afterok"})
        assert waits.of(None) == ((Dependency(0, After.ANY), Dependency(1, After.OK)), ())

    play_context(body, tmp_path)


def test_the_start_of_an_array_is_that_of_each_element(tmp_path: Path) -> None:
    async def body(context: Context, made: Daemon) -> None:
        beside, _ = (await _waits(context, on={"sweep": "after+10"}, any=True)).of(None)
        assert [(d.job, d.delay, d.either) for d in beside] == [(n, 600.0, True) for n in (1, 2, 3)]
        _, others = (await _waits(context, on={"2": "after"})).of(None)
        assert [d.name for d, _ in others] == ["2[0]", "2[1]", "2[2]"]
        assert {d.after for d, _ in others} == {After.START}

    play_context(body, tmp_path)


def test_corresponding_elements_are_those_of_the_same_index(tmp_path: Path) -> None:
    async def body(context: Context, made: Daemon) -> None:
        waits = await _waits(context, on={"sweep": "aftercorr"}, indices=[5, 0])
        assert waits.of(5) == ((Dependency(3, After.CORR),), ())
        assert waits.of(0) == ((Dependency(1, After.CORR),), ())
        assert waits.count == 1
        waits = await _waits(context, on={"2": "aftercorr"}, indices=[0, 2])
        beside, ((dependency, outcome),) = waits.of(2)
        assert (beside, dependency.name, outcome) == ((), "2[2]", None)

    play_context(body, tmp_path)


def test_without_two_arrays_aftercorr_is_afterok(tmp_path: Path) -> None:
    async def body(context: Context, made: Daemon) -> None:
        waits = await _waits(context, on={"sweep": "aftercorr", "prep": "aftercorr"})
        assert [d.after for d in waits.of(None)[0]] == [After.OK, After.OK]
        waits = await _waits(context, on={"1": "aftercorr"}, indices=[0])
        assert [d.after for d, _ in waits.of(0)[1]] == [After.OK]

    play_context(body, tmp_path)


@pytest.mark.parametrize(
    ("on", "indices", "said"),
    [
        ({"sweep": "aftercorr"}, [0, 2], "sweep has no element 2 for aftercorr"),
        ({"2": "aftercorr"}, [9], "2 has no element 9 for aftercorr"),
        ({"prep": "afterwards"}, None, "'afterwards' is not a condition: write afterok"),
        ({"prep": "after+0x1"}, None, "is not a condition"),
        ({"99": "afterok"}, None, "no job '99' in this submit or with that id"),
        ({"nobody": "afterok"}, None, "no job 'nobody' in this submit"),
    ],
)
def test_what_cannot_be_waited_for_is_said(
    tmp_path: Path, on: dict[str, str], indices: list[int] | None, said: str
) -> None:
    async def body(context: Context, made: Daemon) -> None:
        with pytest.raises(UserError, match=said):
            await _waits(context, on=on, indices=indices)

    play_context(body, tmp_path)


def test_the_end_and_start_of_one_that_has_ended_are_known(tmp_path: Path) -> None:
    async def body(context: Context, made: Daemon) -> None:
        await made.event_loop.request(ev.CancelAsked(1, ALICE.uid))
        _, ((dependency, outcome),) = (await _waits(context, on={"1": "after+5"})).of(None)
        assert (dependency.job, outcome and outcome.value) == (1, "CANCELLED")

    play_context(body, tmp_path)
