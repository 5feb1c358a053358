"""``launch reserve``: making, showing and taking back reservations."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from launcher.cli.output.charts.reservation_tables import timeline
from tests.unit.cli.launch_command import Launch
from tests.unit.cli.queue_views import reservation
from tests.unit.client.stub_daemon import Json, StubDaemon


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The clock of Central Europe."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


BEGIN = ["--begin", "2999-01-02T03:00:00Z"]
ONE, TWO = "MIG-11111111-2222-3333-4444-555555555555", "MIG-aaaaaaaa-2222-3333-4444-555555555555"


@pytest.mark.parametrize(
    ("args", "asked"),
    [
        (
            ["--profile", "1G.6GB", "--count", "2", "--user", "alice", "--for", "2h"],
            {"profile": "1g.6gb", "count": 2, "user": "alice", "end": "2999-01-02T05:00:00Z"},
        ),
        (
            ["--profile", "full", "--group", "course", "--end", "2999-01-03T00:00:00+01:00"],
            {"profile": "full", "group": "course", "end": "2999-01-02T23:00:00Z"},
        ),
        (
            ["--slice", ONE, "--slice", f"{TWO},{ONE}", "--user", "bob", "--for", "1h30m"],
            {"slices": [ONE, TWO], "user": "bob", "end": "2999-01-02T04:30:00Z"},
        ),
    ],
)
def test_slices_are_kept_for_somebody_for_a_time(
    stub: StubDaemon, launch: Launch, args: list[str], asked: dict[str, Any]
) -> None:
    stub.on("POST", "/v1/reservations", Json(reservation(), 201))
    result = launch("reserve", "course", *args, *BEGIN)
    assert (result.code, result.err) == (0, "")
    nothing = {"name": "course", "start": "2999-01-02T03:00:00Z", "user": None, "group": None,
               "slices": [], "profile": None, "count": 1}  # fmt: skip
    assert stub.asked[0].body == nothing | asked
    assert result.out.splitlines()[1].split() == [
        "course", "alice", "2", "x", "0:1g.6gb", "2999-01-02T03:00:00Z", "2999-01-02T05:00:00Z",
        "coming", "root",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("begin", "end", "until"),
    [
        ("2999-01-02T20:00", "06:00", "2999-01-03T05:00:00Z"),
        ("2999-01-02T20:00", "22:30", "2999-01-02T21:30:00Z"),
        ("2999-01-02T20:00", "midnight", "2999-01-02T23:00:00Z"),
    ],
)
def test_a_time_of_day_is_the_first_after_the_begin(
    stub: StubDaemon, launch: Launch, berlin: None, begin: str, end: str, until: str
) -> None:
    stub.on("POST", "/v1/reservations", Json(reservation(), 201))
    who = ("--profile", "full", "--user", "bob")
    assert launch("reserve", "course", *who, "--begin", begin, "--end", end).code == 0
    assert stub.asked[0].body["end"] == until


def test_an_end_in_the_gap_of_the_clocks_is_refused(launch: Launch, berlin: None) -> None:
    who = ("--profile", "full", "--user", "bob", "--begin", "2027-03-27T20:00")
    result = launch("reserve", "course", *who, "--end", "02:30")
    assert result.code == 2
    assert "'2027-03-28T02:30' is left out of local time" in result.err


@pytest.mark.parametrize("args", [[], ["--list"]])
def test_the_reservations_are_a_table_and_a_timeline(
    stub: StubDaemon, launch: Launch, args: list[str]
) -> None:
    other = reservation(name="bob", user=None, group="staff", slices=["MIG-2"], labels=["0:2g"])
    stub.on("GET", "/v1/reservations", Json([reservation(), other]))
    result = launch("reserve", *args)
    assert (result.code, result.err) == (0, "")
    table, chart = result.out.split("\n\n")
    assert table.splitlines()[0].split() == [
        "NAME", "FOR", "SLICES", "BEGIN", "END", "STATE", "BY",
    ]  # fmt: skip
    assert "group staff" in table
    lines = chart.splitlines()
    assert "|now" in lines[0]
    assert [line.split()[:2] for line in lines[1:]] == [
        ["0:1g.6gb", "MIG-0"], ["0:1g.6gb", "MIG-1"], ["0:2g", "MIG-2"],
    ]  # fmt: skip


def test_the_timeline_begins_now_and_shows_the_windows_by_name() -> None:
    now = datetime(2026, 1, 2, 3, tzinfo=UTC)
    first = reservation(start="2026-01-02T02:00:00Z", end="2026-01-02T05:00:00Z", slices=["MIG-0"],
                        labels=["0:1g"])  # fmt: skip
    second = dataclasses.replace(
        first, name="night", start="2026-01-02T06:00:00Z", end="2026-01-02T13:00:00Z"
    )
    over = dataclasses.replace(
        first, name="old", start="2026-01-01T07:00:00Z", end="2026-01-02T03:00:00Z"
    )
    blank, axis, line = timeline([first, second, over], now, 63, utf8=False)
    assert blank == ""
    assert axis.split() == ["|now", "|+3h", "|+6h", "|+9h"]
    assert line.startswith("0:1g MIG-0 |course===.")
    assert axis.index("|+3h") == line.index("|night")
    assert "old" not in line
    assert len(line) <= 63


def test_without_reservations_there_is_no_timeline(stub: StubDaemon, launch: Launch) -> None:
    stub.on("GET", "/v1/reservations", Json([]))
    assert len(launch("reserve").out.splitlines()) == 1
    assert launch("reserve", "-o", "json").out == "[]\n"


def test_a_reservation_is_taken_back(stub: StubDaemon, launch: Launch) -> None:
    stub.on("POST", "/v1/reservations/course/cancel", Json([reservation(name="other")]))
    result = launch("reserve", "course", "--cancel", "-o", "name")
    assert (result.code, result.out) == (0, "other\n")


def test_json_is_an_array_of_reservations(stub: StubDaemon, launch: Launch) -> None:
    stub.on("GET", "/v1/reservations", Json([reservation()]))
    stub.on("POST", "/v1/reservations", Json(reservation(), 201))
    expected = [dataclasses.asdict(reservation())]
    assert json.loads(launch("reserve", "-o", "json").out) == expected
    made = launch("reserve", "a", "--profile", "1g.6gb", "--user", "b", *BEGIN, "--for", "1h",
                  "-o", "json")  # fmt: skip
    assert json.loads(made.out) == expected


GOOD = ["course", "--profile", "1g.6gb", "--user", "alice", *BEGIN, "--for", "1h"]


def without(flag: str) -> list[str]:
    at = GOOD.index(flag)
    return GOOD[:at] + GOOD[at + 2 :]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (without("--profile"), "Say which slices"),
        ([*GOOD, "--slice", ONE], "Say which slices"),
        ([*without("--profile"), "--slice", ONE, "--count", "2"], "--count goes with --profile"),
        ([*without("--profile"), "--slice", "0"], "is not the UUID of a slice"),
        (without("--user"), "Say for whom"),
        ([*GOOD, "--group", "staff"], "Say for whom"),
        (without("--begin"), "Say when"),
        (without("--for"), "Say when"),
        ([*GOOD, "--end", "2999-01-03T00:00:00Z"], "Say when"),
        ([*without("--for"), "--end", "2999-01-02T03:00:00Z"], "later than --begin"),
        ([*without("--for"), "--for", "4:00"], "two ways"),
        (["course"], "Say which slices"),
        (GOOD[1:], "--profile means nothing without NAME"),
        (["--slice", ONE], "--slice means nothing without NAME"),
        (["--for", "1h"], "--for means nothing without NAME"),
        ([*GOOD, "--cancel"], "--profile means nothing beside --cancel"),
        (["--cancel"], "Say which reservation to cancel"),
        (["course", "--list"], "leave NAME out"),
        (["course", "--list", "--cancel"], "cannot be used together"),
    ],
)
def test_what_is_missing_or_too_much_is_wrong_usage(
    stub: StubDaemon, launch: Launch, args: list[str], said: str
) -> None:
    result = launch("reserve", *args)
    assert (result.code, result.out, stub.did()) == (2, "", [])
    assert said in result.err


def test_who_may_not_is_told(stub: StubDaemon, launch: Launch) -> None:
    no = {"kind": "not-allowed", "message": "only an admin may do this"}
    stub.on("POST", "/v1/reservations", Json(no, 403))
    result = launch("reserve", *GOOD)
    assert (result.code, result.err) == (1, "launch: only an admin may do this\n")
