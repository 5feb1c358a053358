"""A page of an array: for whom, of which elements, and never of all of them at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from launcher import wire
from launcher.core.messages import events as ev
from launcher.daemon.api.handlers.arrays import page
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.users.identity import Caller
from launcher.errors import NoSuchJob, SeveralJobs, UserError
from launcher.store import Reader
from tests.support.builders import ALICE
from tests.unit.daemon.api.handlers.test_references import BOB, ROOT, play_context
from tests.unit.daemon.loop.test_event_loop import Daemon

Body = Callable[[Context, Daemon], Awaitable[None]]
CALLER = Caller(ALICE, admin=False)


async def shown(
    context: Context, ref: str, caller: Caller = CALLER, **query: Any
) -> wire.ArrayPage:
    asked = {"part": None, "after": None, "most": 50} | query
    return await page(context, caller, ref, **asked)


def refs(found: wire.ArrayPage) -> list[str]:
    return [job.ref for job in found.elements]


def test_failed_elements_come_first_and_the_counts_are_of_all(tmp_path: Path) -> None:
    async def body(context: Context, made: Daemon) -> None:
        await made.event_loop.request(ev.CancelAsked(4, ALICE.uid))
        found = await shown(context, "2", most=2)
        assert (refs(found), found.more) == (["2[1]", "2[0]"], True)
        assert found.array.counts == {"PENDING": 2, "CANCELLED": 1}
        rest = await shown(context, "2", part="waiting", after=3)
        assert (refs(rest), rest.more) == (["2[2]"], False)
        for element in (3, 5):
            await made.event_loop.request(ev.CancelAsked(element, ALICE.uid))
        over = await shown(context, "2")
        assert over.array.counts == {"CANCELLED": 3}
        assert (over.array.id, over.array.name, over.array.reason) == (2, "arr", None)

    play_context(body, tmp_path)


def test_an_array_is_named_by_its_id_its_name_or_last(tmp_path: Path) -> None:
    async def body(context: Context, made: Daemon) -> None:
        for ref in ("8", "arr", "last"):
            assert (await shown(context, ref)).array.id == 8
        for ref, error in (("1", UserError), ("3", UserError), ("99", NoSuchJob)):
            with pytest.raises(error):
                await shown(context, ref)
        with pytest.raises(UserError, match="known are failed, running, waiting, completed"):
            await shown(context, "2", part="nonsense")
        with pytest.raises(UserError, match="name the part too"):
            await shown(context, "2", after=3)

    play_context(body, tmp_path)


def test_others_see_the_states_of_the_elements_and_nothing_else(tmp_path: Path) -> None:
    async def body(context: Context, made: Daemon) -> None:
        for caller, name in ((Caller(BOB, admin=False), None), (Caller(ROOT, admin=True), "arr")):
            found = await shown(context, "2", caller)
            assert found.array.counts == {"PENDING": 3}
            assert {found.array.name, *(job.name for job in found.elements)} == {name}

    play_context(body, tmp_path)


def test_one_job_of_an_array_is_refused_without_a_read_of_all_elements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(context: Context, made: Daemon) -> None:
        monkeypatch.setattr("launcher.daemon.api.handlers.context.MOST_LOOKED_AT", 2)
        monkeypatch.delattr(Reader, "elements")
        with pytest.raises(SeveralJobs) as refused:
            await context.one_job("2", CALLER)
        assert refused.value.message == "2 is an array of 3 jobs"

    play_context(body, tmp_path)
