"""Env files: Compose's own cases, and what is refused with its line."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from launcher.jobfile.variables import dotenv
from launcher.jobfile.variables.substitution import Variables
from tests.unit.jobfile.variables import compose_cases


def pairs(text: str, client: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables of an env file."""
    result: dict[str, str] = {}
    for line in dotenv.read(
        text, Variables(lambda name: (client or {}).get(name, result.get(name)))
    ):
        result[line.name] = line.value
    return result


def refused(text: str) -> tuple[int, str]:
    """Return the line that is wrong, and what is said of it."""
    with pytest.raises(dotenv.EnvFileError) as error:
        pairs(text)
    return error.value.line, str(error.value)


@pytest.mark.parametrize(("text", "client", "result"), compose_cases.FILES)
def test_an_env_file_has_the_variables_that_compose_reads(
    text: str, client: dict[str, str], result: dict[str, str]
) -> None:
    assert pairs(text, client) == result


@pytest.mark.parametrize(("text", "name", "value"), compose_cases.LINES)
def test_a_line_has_the_value_that_compose_reads(text: str, name: str, value: str) -> None:
    assert pairs(text) == pairs(f"{text}\n") == pairs(f"{text}\r\n") == {name: value}


@pytest.mark.parametrize(("text", "line", "message"), compose_cases.WRONG)
def test_what_compose_refuses_is_refused_with_its_line(text: str, line: int, message: str) -> None:
    number, said = refused(text)
    assert number == line
    assert message in said


@pytest.mark.parametrize("letter", ["\u2028", "\u2029", "\x0c", "\x0b", "\x85", "\x1c", "\x1e"])
@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_what_ends_a_line_for_unicode_alone_stays_part_of_a_value(letter: str, quote: str) -> None:
    value = f"one{letter}TWO=2"
    assert pairs(f"A={quote}{value}{quote}\nB=1") == {"A": value, "B": "1"}


def test_the_line_of_a_mistake_counts_the_lines_of_quoted_values() -> None:
    assert refused("A='1\n2\n3'\n\n# x\nB=\"$C\nD='x'\n") == (6, 'the quote " is not closed')
    assert refused("A=1\nB=${C:?set it}\n") == (2, "the variable C has no value: set it")


def test_text_right_after_a_closing_quote_is_refused() -> None:
    assert refused("A='x'y")[1] == "'y' stands directly after the closing quote '"
    assert pairs("A='x' B=\"y\" # z") == {"A": "x", "B": "y"}


def test_a_value_without_a_name_is_refused() -> None:
    assert refused('="value"') == (1, "there is no name before the value: write NAME=value")


def test_a_name_alone_at_the_end_takes_the_clients_value() -> None:
    assert pairs("A=1\nB", {"B": "'x' # y"}) == {"A": "1", "B": "'x' # y"}
    assert pairs("A=1\nB") == {"A": "1"}


def test_values_that_double_with_each_line_are_refused() -> None:
    text = "A=xxxxxxxxxxxxxxxx\n" + "A=$A$A\n" * 100
    line, message = refused(text)
    assert "too long: over 1 MiB" in message
    assert line < 25
