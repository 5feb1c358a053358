"""A long submit is read job by job: with the same result, and the same refusals."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from launcher import wire
from launcher.daemon import bodies, convert
from launcher.errors import UserError

GOOD = {"name": "a", "image": "x", "gpus": {"kind": "none"}, "command": ["]", '{\\"', "ü☃"]}


@pytest.fixture(autouse=True)
def every_request_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "SHORT_BYTES", 0)


def read(text: str | bytes) -> wire.SubmitRequest:
    body = text if isinstance(text, bytes) else text.encode()
    return asyncio.run(bodies.submit_request(body))


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("jobs", [[], [GOOD], [GOOD] * 30])
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
