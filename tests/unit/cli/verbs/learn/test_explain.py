"""``launch explain``: what is printed of a key, and of a key that no job file has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from launcher.cli.completion.values import values
from launcher.jobfile.reading.explained import explained, stored_schema
from launcher.jobfile.reading.files import load_text
from tests.unit.cli.launch_command import Launch

KEYS = explained(stored_schema())


@pytest.fixture(autouse=True)
def no_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAUNCHER_SOCKET", "/nowhere/launcher.sock")


def test_without_a_key_all_are_listed_on_one_line_each(launch: Launch) -> None:
    result = launch("explain")
    assert (result.code, result.err) == (0, "")
    assert [line.split()[0] for line in result.out.splitlines()] == ["KEY", *KEYS]
    assert launch("explain", "-o", "name").out.split() == list(KEYS)
    assert [each["key"] for each in json.loads(launch("explain", "-o", "json").out)] == list(KEYS)


def test_a_key_is_told_with_its_values_default_and_examples(launch: Launch) -> None:
    result = launch("explain", "gpus.profile")
    assert (result.code, result.err) == (0, "")
    assert "value:   text\n" in result.out
    assert "default: none\n" in result.out
    assert "Example:\n  gpus: {profile: 1g.6gb, count: 2}\n" in result.out


def test_schedule_may_be_left_out(launch: Launch) -> None:
    result = launch("explain", "retries.on", "-o", "json")
    assert json.loads(result.out)["key"] == "schedule.retries.on"
    assert launch("explain", "begin", "-o", "name").out == "schedule.begin\n"


@pytest.mark.parametrize("key", KEYS)
def test_what_is_printed_as_an_example_can_be_pasted(
    key: str, launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (".env", "local.env", ".hf_token"):
        (tmp_path / name).write_text("A=1\n")
    _, *blocks = launch("explain", key).out.split("\n\n")
    assert len(blocks) == len(KEYS[key].examples)
    for block in blocks:
        lines = [line.removeprefix("  ") for line in block.splitlines()[1:]]
        needs_image = not any(line.startswith(("image:", "runtime:", "jobs:")) for line in lines)
        text = "\n".join([*lines, "image: busybox" * needs_image])
        assert load_text(text.encode(), "f.yaml", tmp_path, client={})[1] == []


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("begn", "did you mean `schedule.begin`?"),
        ("gpu.profile", "did you mean `gpus.profile` or"),
        ("on", "did you mean `notify.on` or `schedule.retries.on`"),
        ("zzzzzz", "`launch explain` lists all keys"),
        ("\x1b[31m", "\\x1b[31m"),
    ],
)
def test_an_unknown_key_is_told_with_those_near(launch: Launch, word: str, told: str) -> None:
    result = launch("explain", word)
    assert (result.code, result.out) == (2, "")
    assert told in result.err


def test_the_keys_complete_without_a_daemon() -> None:
    assert dict(values("key", "gpus.p")) == {"gpus.profile": KEYS["gpus.profile"].meaning[:60]}
    assert [key for key, _ in values("key", "")] == list(KEYS)
