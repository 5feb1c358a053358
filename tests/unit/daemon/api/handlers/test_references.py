"""What an id, a name, an element, a range and ``last`` mean: one rule for every request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from launcher.core.messages import events as ev
from launcher.core.model.arrays import ArrayTemplate
from launcher.core.model.job import Job, Owner
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.api.handlers.forecasts.why import _as_array
from launcher.daemon.users.identity import Caller
from launcher.errors import LauncherError, NoSuchJob, UserError
from launcher.spec.job_spec import JobSpec
from tests.support.builders import ALICE, IMAGE, profile
from tests.unit.daemon.api.handlers.test_committed_reads import context_of
from tests.unit.daemon.loop.test_event_loop import Daemon, play

BOB = Owner(1002, 1002, "bob")
ROOT = Owner(0, 0, "root")


async def _submit(made: Daemon, name: str, size: int | None = None, owner: Owner = ALICE) -> Job:
    """Queue a held job, or an array of them; return the first."""
    spec = JobSpec(name, IMAGE.reference, profile(), hold=True)
    if size is None:
        event = ev.Submitted(owner, (ev.NewJob(spec, "{}", IMAGE),))
    else:
        new = (ev.NewJob(spec, "", IMAGE, element=ev.NewElement(0, i)) for i in range(size))
        event = ev.Submitted(
            owner, tuple(new), arrays=(ev.NewArray(name, ArrayTemplate("{}"), None, f"0-{size}"),)
        )
    jobs: list[Job] = await made.event_loop.request(event)
    return jobs[0]


async def _queue(made: Daemon) -> None:
    """Queue 1 old, 2 arr[0-2] (3-5), 6 old, 7 bob's, 8 arr[0-1] (9-10), 11 bob's other."""
    await _submit(made, "old")
    await _submit(made, "arr", 3)
    await _submit(made, "old")
    await _submit(made, "mine", owner=BOB)
    await _submit(made, "arr", 2)
    await _submit(made, "other", owner=BOB)


async def _meant(context: Context, ref: str, caller: Owner = ALICE) -> list[str]:
    who = Caller(caller, admin=caller is ROOT)
    return [job.ref for job in await context.resolve(ref, who)]


MEANT = {
    "1": ["1"],
    "2": ["2[0]", "2[1]", "2[2]"],
    "4": ["2[1]"],
    "2[1]": ["2[1]"],
    "2[0,2]": ["2[0]", "2[2]"],
    "2[1-9]": ["2[1]", "2[2]"],
    "old": ["6"],
    "arr": ["8[0]", "8[1]"],
    "arr[1]": ["8[1]"],
    "last": ["8[0]", "8[1]"],
    "last[0]": ["8[0]"],
    "1-2": ["1", "2[0]", "2[1]", "2[2]"],
    "6-8": ["6", "7", "8[0]", "8[1]"],
}


def play_context(body: Callable[[Context, Daemon], Awaitable[None]], path: Path) -> None:
    async def with_queue(made: Daemon) -> None:
        await _queue(made)
        await body(context_of(made), made)

    play(with_queue, path)


def test_an_array_is_meant_whole_by_its_id_and_name_and_a_name_means_the_newest(
    tmp_path: Path,
) -> None:
    async def body(context: Context, made: Daemon) -> None:
        assert {ref: await _meant(context, ref) for ref in MEANT} == MEANT

    play_context(body, tmp_path)


def test_a_name_means_the_caller_s_own_job_and_an_admin_s_anybody_s(tmp_path: Path) -> None:
    async def body(context: Context, made: Daemon) -> None:
        with pytest.raises(NoSuchJob):
            await _meant(context, "mine", ALICE)
        assert await _meant(context, "mine", BOB) == ["7"]
        assert await _meant(context, "mine", ROOT) == ["7"]
        await _submit(made, "mine", owner=ROOT)
        assert await _meant(context, "mine", ROOT) == ["12"]

    play_context(body, tmp_path)


@pytest.mark.parametrize("ref", ["1[0]", "old[0]", "2[7]", "nobody", "nobody[0]", "99", "90-99"])
def test_what_is_not_there_is_said(tmp_path: Path, ref: str) -> None:
    async def body(context: Context, made: Daemon) -> None:
        with pytest.raises(NoSuchJob, match="there is no job"):
            await _meant(context, ref)

    play_context(body, tmp_path)


@pytest.mark.parametrize("ref", ["2[", "2[a]", "2[]", "[0]", "2[0][1]", "arr[-1]"])
def test_what_names_no_elements_is_said(tmp_path: Path, ref: str) -> None:
    async def body(context: Context, made: Daemon) -> None:
        with pytest.raises(UserError, match="names no elements"):
            await _meant(context, ref)

    play_context(body, tmp_path)


@pytest.mark.parametrize(
    ("ref", "what"),
    [
        ("2", "2 is an array of 3 jobs"),
        ("arr", "arr is array 8, of 2 jobs"),
        ("last", "last is array 8, of 2 jobs"),
        ("2[0-1]", r"2\[0-1\] means 2 jobs"),
        ("1-7", "1-7 means 6 jobs"),
    ],
)
def test_what_can_only_be_done_to_one_names_those_there_are(
    tmp_path: Path, ref: str, what: str
) -> None:
    async def body(context: Context, made: Daemon) -> None:
        with pytest.raises(UserError, match=what) as refused:
            await context.one_job(ref, Caller(ALICE, admin=False))
        jobs = await _meant(context, ref)
        shown = ", ".join(f"{job} (PENDING)" for job in jobs)
        assert refused.value.fix == f"Name one of them: {shown}; `launch ps {ref}` lists them."
        assert (await context.one_job(jobs[0], Caller(ALICE, admin=False))).ref == jobs[0]

    play_context(body, tmp_path)


def test_of_many_elements_ten_are_named(tmp_path: Path) -> None:
    async def body(context: Context, made: Daemon) -> None:
        first = await _submit(made, "many", 30)
        await made.event_loop.request(ev.CancelAsked(first.id, ALICE.uid))
        with pytest.raises(LauncherError) as refused:
            await context.one_job("many", Caller(ALICE, admin=False))
        fix = refused.value.fix or ""
        assert f"{first.ref} (CANCELLED), " in fix
        assert fix.count("(PENDING)") == 9
        assert "and 20 more" in fix

    play_context(body, tmp_path)


def test_why_of_an_array_is_about_the_element_that_is_served_next(tmp_path: Path) -> None:
    async def body(context: Context, made: Daemon) -> None:
        caller = Caller(ALICE, admin=False)
        await made.event_loop.request(ev.CancelAsked(3, ALICE.uid))
        await made.event_loop.request(ev.ReleaseAsked(5, ALICE.uid))
        jobs = await context.resolve("2", caller)
        job, array = await _as_array(context, caller, "2", jobs)
        assert (job.ref, array.id, array.indices) == ("2[2]", 2, "0-2")
        assert sum(array.counts.values()) == 3
        assert array.counts["CANCELLED"] == 1
        with pytest.raises(UserError, match="1-7 means 6 jobs"):
            await _as_array(context, caller, "1-7", await context.resolve("1-7", caller))

    play_context(body, tmp_path)
