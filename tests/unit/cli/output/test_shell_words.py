"""Words for a shell: bash reads what was meant, and the terminal is not steered."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.cli.output.shell_words import print_docker_run, quoted
from tests.unit.cli.test_hostile import EVIL, must_be_harmless

WORDS = [
    "", "a b", "a\nb", "'", '"', "\\", "$X", "`x`", "-x", "--env=A=1\n2", "!x", "*", "~", "#x",
    "\x1b[31m", "\x07", "\x7f", "\x9b31m", "\u202e", "\u200b", "\ufeff", "日本", "é'\\\n", "\xa0",
    "a\\\nb", "$'x'", "{a,b}", "\U000e0001", "A=\x01f",
]  # fmt: skip


def read_by_bash(words: list[str], locale: str = "C.UTF-8") -> list[str]:
    script = "printf '%s\\0' " + " ".join(map(quoted, words))
    done = subprocess.run(
        ["bash", "-c", script], stdout=subprocess.PIPE, check=True, env={"LC_ALL": locale}
    )
    return done.stdout.decode().split("\0")[:-1]


@pytest.mark.parametrize("locale", ["C.UTF-8", "C"])
def test_bash_reads_each_word_as_it_was(locale: str) -> None:
    assert read_by_bash(WORDS, locale) == WORDS


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))))
@settings(max_examples=50)
def test_bash_reads_any_words(words: list[str]) -> None:
    assert read_by_bash(["x", *words]) == ["x", *words]


@given(st.text())
def test_no_word_has_a_character_that_steers_a_terminal(word: str) -> None:
    must_be_harmless(quoted(word))
    assert "\n" not in quoted(word)


def test_what_no_argument_can_hold_is_replaced() -> None:
    assert quoted("a\0\ud800b") == "'a\ufffd\ufffdb'"
    must_be_harmless(quoted(EVIL))


def test_each_option_has_a_line_and_the_command_one(capsys: pytest.CaptureFixture[str]) -> None:
    print_docker_run(["docker", "run", "--rm", "--env=A=b c", "busybox", "sh", "-c", "--x"])
    assert capsys.readouterr().out == (
        "docker run \\\n  --rm \\\n  '--env=A=b c' \\\n  busybox sh -c --x\n"
    )
