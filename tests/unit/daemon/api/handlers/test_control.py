"""What a page may change of a job: less than the command of the same user."""

from __future__ import annotations

import asyncio

import pytest

from launcher import wire
from launcher.daemon.api.handlers import control
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.users.identity import Caller
from launcher.errors import NotAllowed
from launcher.spec.gpus import GpuRequest
from tests.support.builders import ALICE

ON_A_PAGE = Caller(ALICE, admin=True, web_session="x")


@pytest.mark.parametrize(
    "request_",
    [
        wire.EditRequest(priority=90),
        wire.EditRequest(time_limit=60.0, hold=True),
        wire.EditRequest(gpus=GpuRequest(kind="none")),
        wire.EditRequest(),
    ],
)
def test_a_page_changes_the_time_limit_and_nothing_else(request_: wire.EditRequest) -> None:
    context = object.__new__(Context)  # it is not even looked at
    with pytest.raises(NotAllowed, match="the time limit alone"):
        asyncio.run(control.edit(context, ON_A_PAGE, "1", request_))
