"""A long submit is read job by job: with the same result, and the same refusals."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from launcher import wire
from launcher.daemon.api.http import json_cursor, request_bodies
from launcher.daemon.requests import convert
from launcher.errors import UserError

GOOD = {"name": "a", "image": "x", "gpus": {"kind": "none"}, "command": ["]", '{\\"', "ü☃"]}


COMBINATIONS = [{"lr": f"0.{n}", "a": "]},{"} for n in range(30)]
ARRAY = GOOD | {"array": {"indices": list(range(30)), "matrix": COMBINATIONS, "max_parallel": 3}}


@pytest.fixture(autouse=True, params=[(1, 2), (64, 512)], ids=str)
def every_request_is_long(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    for kind in (wire.SubmitRequest, wire.ArrayRequest):
        convert.adapter(kind)  # made once, with the limits as they are
    monkeypatch.setattr(request_bodies, "SHORT_BYTES", 0)
    monkeypatch.setattr(request_bodies, "ITEMS_AT_ONCE", 7)
    monkeypatch.setattr(json_cursor, "WINDOWS", request.param)


def read(text: str | bytes) -> wire.SubmitRequest:
    body = text if isinstance(text, bytes) else text.encode()
    return asyncio.run(request_bodies.submit_request(body))


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("jobs", [[], [GOOD], [GOOD] * 30, [ARRAY], [GOOD, ARRAY, GOOD, ARRAY]])
def test_what_is_read_is_the_same(indent: int | None, jobs: list[Any]) -> None:
    for asked in (
        {"jobs": jobs},
        {"dry_run": True, "jobs": jobs},
        {"jobs": jobs, "dry_run": False},
        {"jobs": jobs, "credentials": {"r.io": {"username": "u", "password": "p"}}},
    ):
        text = json.dumps(asked, indent=indent, ensure_ascii=indent is None)
        assert read(text) == convert.parse(wire.SubmitRequest, text.encode())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"jobs":',
        '{"jobs":[',
        '{"jobs":[{}',
        '{"jobs":[{},]}',
        '{"jobs":[,]}',
        '{"jobs":[]} x',
        '{"jobs":[],}',
        "{1:2}",
        '{"jobs":[] "x":1}',
        '{"jobs":' + "[" * 100_000,
        '{"jobs":[' + "[" * 100_000 + "]}",
        b'{"jobs":["\xff"]}',
    ],
)
def test_what_is_no_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(UserError):
        read(text)


@pytest.mark.parametrize("last", [GOOD, ARRAY, {"command": []}, 7])
def test_of_equal_keys_the_last_one_counts(last: Any) -> None:
    one, many = json.dumps(ARRAY), json.dumps(last)
    for text in (
        f'{{"jobs":[{one}],"jobs":[{many}]}}',
        f'{{"jobs":[{one}],"jobs":{many}}}',
        f'{{"jobs":{many},"jobs":[{one}]}}',
        f'{{"jobs":[{{"array":7,{one[1:]}]}}',
        f'{{"jobs":[{{"array":{json.dumps(ARRAY["array"])},{one[1:]}]}}',
        f'{{"jobs":[{one[:-1]},"array":{many}}}]}}',
    ):
        assert outcome(lambda t=text: read(t)) == outcome(
            lambda t=text: convert.parse(wire.SubmitRequest, t.encode())
        )


def outcome(call: Callable[[], wire.SubmitRequest]) -> wire.SubmitRequest | str:
    try:
        return call()
    except UserError as refused:
        return refused.message


def test_a_longer_array_than_can_be_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire.ArrayRequest, "MAX_ELEMENTS", 29)
    with pytest.raises(UserError, match=r"jobs.0.array.\w+: at most 29 can be"):
        read(json.dumps({"jobs": [ARRAY]}))


def test_more_jobs_than_can_be_are_not_all_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire.ArrayRequest, "MAX_ELEMENTS", 3)
    with pytest.raises(UserError, match="at most 3"):
        read(json.dumps({"jobs": [GOOD] * 4}))


@pytest.mark.parametrize(
    "asked",
    [
        {"jobs": {}},
        {"jobs": 3},
        {"jobs": None},
        {"dry_run": 3, "jobs": [GOOD]},
        {"jobs": [GOOD, {"name": "a"}]},
        {"jobs": [GOOD, GOOD | {"nosuch": 1}]},
        {"jobs": [GOOD, 7]},
        {"jobs": [GOOD], "nosuch": 1},
        {"jobs": [GOOD, ARRAY | {"array": {}}]},
        {"jobs": [ARRAY | {"array": 7}]},
        {"jobs": [ARRAY | {"array": None, "nosuch": 1}]},
        {"jobs": [ARRAY | {"array": {"indices": {}, "matrix": COMBINATIONS}}]},
        {"jobs": [ARRAY | {"array": {"indices": [*range(20), "x"]}}]},
        {"jobs": [ARRAY | {"array": {"indices": [0], "matrix": [*COMBINATIONS, {"lr": 7}]}}]},
        {"jobs": [ARRAY | {"array": {"indices": [0], "matrix": [*COMBINATIONS, 7]}}]},
        {"jobs": [ARRAY | {"array": {"indices": [0], "nosuch": COMBINATIONS}}]},
        {},
    ],
)
def test_what_is_refused_is_told_alike(asked: Any) -> None:
    text = json.dumps(asked)
    with pytest.raises(UserError) as at_once:
        convert.parse(wire.SubmitRequest, text.encode())
    with pytest.raises(UserError) as in_pieces:
        read(text)
    assert in_pieces.value.message == at_once.value.message
