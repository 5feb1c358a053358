"""`launch notify`: what is requested and what is printed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.launch_command import Launch
from tests.unit.client.stub_daemon import Json, StubDaemon, job_view

MAIL = {"webhook": None, "mail": "me", "on": ["end"]}
HOOK = {"webhook": "https://ntfy.example.org/secret", "mail": None, "on": ["failure"]}
FAILURE = {"at": "2026-11-01T10:00:00Z", "job": 12, "target": "mail to me", "detail": "no sendmail"}


def view(*targets: Any, failures: tuple[Any, ...] = (), problem: str | None = None) -> Json:
    return Json({"targets": list(targets), "failures": list(failures), "problem": problem})


def test_it_shows_the_targets_without_secrets_and_what_was_not_sent(
    stub: StubDaemon, launch: Launch
) -> None:
    stub.on("GET", "/v1/notify", view(MAIL, HOOK, failures=(FAILURE,), problem="they wait"))
    for words in (["notify"], ["notify", "show"]):
        result = launch(*words)
        first, problem, _, _, row = result.out.splitlines()
        assert first == "mail to me (end), https://ntfy.example.org/… (failure)"
        assert problem == "they wait"
        assert row.split()[1:] == ["12", "mail", "to", "me", "no", "sendmail"]
    assert "secret" in launch("notify", "show", "-o", "json").out


def test_targets_are_set_and_taken_back(stub: StubDaemon, launch: Launch) -> None:
    stub.on("POST", "/v1/notify", view(MAIL, HOOK))
    result = launch("notify", "set", "mail", "https://ntfy.example.org/secret,on=failure")
    assert result.code == 0
    assert stub.asked[-1].body == {"targets": [MAIL, HOOK]}
    stub.on("POST", "/v1/notify", view())
    assert launch("notify", "clear").out == "none\n"
    assert stub.asked[-1].body == {"targets": []}


def test_a_word_that_is_not_a_target_is_refused_here(stub: StubDaemon, launch: Launch) -> None:
    result = launch("notify", "set", "post")
    assert (result.code, stub.did()) == (2, [])
    assert "'post' is not a target: write mail" in result.err
    assert launch("notify", "set").code == 2


def test_a_test_says_where_it_goes(stub: StubDaemon, launch: Launch) -> None:
    stub.on("POST", "/v1/notify/test", view(MAIL, problem="they wait"))
    lines = launch("notify", "test").err.splitlines()
    assert [line.removeprefix("launch: ") for line in lines] == [
        "a test goes to mail to me", "they wait",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], [None, [HOOK]]),
        (["--notify", "mail"], [[MAIL], [HOOK]]),
        (["--notify", "none"], [[], [HOOK]]),
    ],
)
def test_a_submit_sets_the_targets_of_jobs_without_their_own(
    stub: StubDaemon, launch: Launch, tmp_path: Path, words: list[str], expected: list[Any]
) -> None:
    stub.on("POST", "/v1/jobs", Json([job_view(id=1), job_view(id=2)], 201))
    file = tmp_path / "jobs.yaml"
    file.write_text(
        "jobs:\n  a: {image: busybox}\n  b: {image: busybox, notify: "
        "{webhook: 'https://ntfy.example.org/secret', on: failure}}\n"
    )
    assert launch("submit", *words, str(file)).code == 0
    assert [job["notify"] for job in stub.asked[-1].body["jobs"]] == expected


def test_too_many_targets_are_refused_here(stub: StubDaemon, launch: Launch) -> None:
    result = launch("run", *["--notify", "mail"] * 5, "busybox", "true")
    assert (result.code, stub.did()) == (2, [])
    assert "5 targets are more than 4" in result.err
