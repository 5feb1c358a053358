"""Every verb explains itself, and the README shows it."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from launcher.cli.app import GROUPS
from launcher.cli.app import launch as frame
from tests.acceptance.shell import Shell

README = Path(__file__).parents[2] / "README.md"
VERBS = [verb for verbs in GROUPS.values() for verb in verbs]


@pytest.fixture
def alone(tmp_path: Path) -> Shell:
    """The command where no daemon runs and nothing is set up."""
    return Shell({"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}, tmp_path)


def test_help_lists_every_verb_with_its_summary(alone: Shell) -> None:
    text = alone("--help").ok().text
    for verbs in GROUPS.values():
        for verb, summary in verbs.items():
            assert re.search(rf"(?m)^  {verb} +{re.escape(summary)}$", text), verb


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_names_all_of_its_options(alone: Shell, verb: str) -> None:
    done = alone(verb, "--help").ok()
    assert done.err == ""
    assert f"Usage: launch {verb} " in done.text
    command = frame.get_command(click.Context(frame), verb)
    assert command is not None
    options = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    for word in (word for option in options for word in option.opts):
        assert re.search(rf"(?m)^ .*{re.escape(word)}\b", done.text), word


@pytest.mark.parametrize("verb", VERBS)
def test_the_readme_has_an_example_of_the_verb(verb: str) -> None:
    assert re.search(rf"`launch {verb}\b", README.read_text())


def test_without_a_verb_it_shows_its_help_and_fails(alone: Shell) -> None:
    done = alone()
    assert done.code == 2
    assert "Usage: launch " in done.err


def test_a_verb_that_does_not_exist_is_wrong_usage(alone: Shell) -> None:
    done = alone("lunch")
    assert (done.code, done.out) == (2, b"")
    assert "lunch" in done.err
    assert "launch --help" in done.err
