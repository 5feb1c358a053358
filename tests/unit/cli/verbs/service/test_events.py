"""``launch events``: which types can be named."""

from __future__ import annotations

import pytest

from launcher.wire.history import EVENT_TYPES
from tests.unit.cli.launch_command import Launch
from tests.unit.client.stub_daemon import Json, StubDaemon


@pytest.mark.parametrize("name", ["job.finished", "jobs", "job.", "", "end"])
def test_a_type_that_no_event_has_is_refused(name: str, stub: StubDaemon, launch: Launch) -> None:
    result = launch("events", "-f", "--type", "job", "--type", name)
    assert (result.code, stub.asked) == (2, [])
    assert f"'{name}' is not a type of event; known are job.submitted," in result.err


@pytest.mark.parametrize("name", ["job", *EVENT_TYPES])
def test_a_type_or_the_beginning_of_several_is_taken(
    name: str, stub: StubDaemon, launch: Launch
) -> None:
    stub.on("GET", "/v1/events", Json({"events": [], "next": 1, "missed": False}))
    assert launch("events", "--type", name).code == 0
