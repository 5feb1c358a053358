"""``launch cancel`` where nothing of what was named is left."""

from __future__ import annotations

import pytest

from tests.unit.cli.launch_command import Launch
from tests.unit.client.stub_daemon import Json, StubDaemon, ended


@pytest.mark.parametrize(("output", "printed"), [("table", ""), ("json", "[]\n"), ("name", "")])
def test_that_nothing_of_it_is_left_to_end_is_said_and_no_failure(
    stub: StubDaemon, launch: Launch, output: str, printed: str
) -> None:
    stub.on("POST", "/v1/jobs/10-20/cancel", Json([]))
    result = launch("cancel", "10-20", "-o", output)
    assert (result.code, result.out) == (0, printed)
    assert result.err == "nothing of 10-20 waits or runs\n"


def test_it_is_said_of_what_had_ended_only(stub: StubDaemon, launch: Launch) -> None:
    stub.on("POST", "/v1/jobs/10-20/cancel", Json([]))
    stub.on("POST", "/v1/jobs/7/cancel", Json([ended("CANCELLED", id=7)]))
    result = launch("cancel", "10-20", "7")
    assert result.code == 0
    assert "CANCELLED" in result.out
    assert result.err == "nothing of 10-20 waits or runs\n"
