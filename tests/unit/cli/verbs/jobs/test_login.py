"""``launch login``: whose password goes where, and what is never asked for without a terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest

from tests.unit.cli.launch_command import Launch
from tests.unit.client.stub_daemon import Json, StubDaemon


@pytest.fixture(autouse=True)
def typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("s3cret\nnot this\n"))


def asked(stub: StubDaemon) -> dict[str, Any]:
    body: dict[str, Any] = stub.asked[0].body
    return body


@pytest.mark.parametrize(
    ("word", "registry"),
    [
        ("nvcr.io", "nvcr.io"),
        ("https://nvcr.io/v2/", "nvcr.io"),
        ("localhost:5000", "localhost:5000"),
        ("docker.io", "docker.io"),
        ("https://index.docker.io/v1/", "docker.io"),
    ],
)
def test_the_first_line_of_stdin_is_the_password_for_that_registry(
    stub: StubDaemon, launch: Launch, word: str, registry: str
) -> None:
    reply = {"registry": registry, "message": "Login Succeeded"}
    stub.on("POST", "/v1/login", Json(reply))
    result = launch("login", "-u", "me", "--password-stdin", word)
    assert (result.code, result.out) == (0, "")
    assert f"{registry}: Login Succeeded" in result.err
    assert asked(stub)["registry"] == registry
    assert asked(stub)["auth"] == {"username": "me", "password": "s3cret", "identitytoken": ""}


def test_docker_hub_is_meant_where_no_registry_is_named(stub: StubDaemon, launch: Launch) -> None:
    stub.on("POST", "/v1/login", Json({"registry": "docker.io", "message": "Login Succeeded"}))
    launch("login", "-u", "me", "--password-stdin")
    assert asked(stub)["registry"] == "docker.io"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--password-stdin"], "--username"),
        (["-u", "me"], "use --password-stdin"),
    ],
)
def test_what_cannot_be_asked_for_is_said_and_nothing_is_sent(
    stub: StubDaemon, launch: Launch, words: list[str], said: str
) -> None:
    result = launch("login", *words, "nvcr.io")
    assert result.code == 2
    assert said in result.err
    assert stub.asked == []


def test_a_registry_that_refuses_is_told_without_the_password(
    stub: StubDaemon, launch: Launch
) -> None:
    told = {"kind": "not-allowed", "message": "cannot log in to nvcr.io: denied", "fix": None}
    stub.on("POST", "/v1/login", Json(told, 403))
    result = launch("login", "-u", "me", "--password-stdin", "nvcr.io")
    assert result.code == 1
    assert "cannot log in to nvcr.io: denied" in result.err
    assert "s3cret" not in result.err + result.out
