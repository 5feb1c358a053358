"""Env files as hostile input: any text is variables, or an error with its line."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.jobfile.variables import dotenv
from launcher.jobfile.variables.env_files import MAX_FILE_BYTES
from launcher.jobfile.variables.substitution import Variables
from tests.support.plain_work import cost
from tests.support.whole import many

SETTINGS = settings(deadline=None, max_examples=many(300, 3000))
PIECES = [
    "A=", "B=", "C: ", "\n", "\n", "\r\n", "'", '"', "\\", "\\n", "\\$", "$A", "${B}", "${C:-q}",
    "${D:?no}", " #c", "#", "x", " ", "export ", "\t", "y z", "\u2028", "\x0c", '\\"', "\\'", "{",
]  # fmt: skip
MOST = MAX_FILE_BYTES


def filled(piece: str, before: str = "", after: str = "") -> str:
    return before + piece * ((MOST - len(before) - len(after)) // len(piece)) + after


NASTY = {
    "a quote that is not closed": filled("x", "A='"),
    "backslashes": filled("\\", 'A="', '"'),
    "backslashes that are not closed": filled("\\", 'A="', "x"),
    "quotes": filled("'", "A="),
    "quoted lines": filled("A='\n'\n"),
    "dollars": filled("$", "A="),
    "variables": filled("$A", "A="),
    "open braces": filled("${A:-", "A="),
    "nested braces": "A=" + "${A:-" * 40_000 + "}" * 40_000,
    "a name without end": filled("A"),
    "a name of spaces": filled(" ", "A", "="),
    "exports": filled("export "),
    "names": filled("A\n"),
    "values": filled("A=\n"),
    "comments": filled("#\n"),
    "spaces": filled(" "),
    "lines that other programs end": filled("\u2028", "A=", "x")[: MOST // 3],
    "doubling": "A=" + "x" * 1000 + "\n" + "A=$A$A\n" * 30_000,
    "growing": "A=x\n" + "A=${A}x\n" * 30_000,
    "escapes": filled("\\n", 'A="', '"'),
    "octals": filled("\\0101", 'A="', '"'),
}


def pairs(text: str) -> dict[str, str]:
    result: dict[str, str] = {}
    for line in dotenv.read(text, Variables(result.get)):
        result[line.name] = line.value
    return result


def must_be_variables_or_an_error(text: str) -> None:
    try:
        found = pairs(text)
    except dotenv.EnvFileError as error:
        assert 1 <= error.line <= text.count("\n") + 1
        assert 0 < len(str(error)) < 400
    else:
        assert all(name and "\n" not in name for name in found)


@SETTINGS
@given(st.lists(st.sampled_from(PIECES), max_size=20).map("".join) | st.text(max_size=80))
def test_any_text_is_variables_or_an_error_with_its_line(text: str) -> None:
    must_be_variables_or_an_error(text)


@SETTINGS
@given(st.text(max_size=40).filter(lambda text: "\\" not in text))
def test_a_value_between_single_quotes_is_what_stands_there(value: str) -> None:
    written = value.replace("'", "\\'")
    assert pairs(f"A='{written}'\nB=1") == {"A": value, "B": "1"}


@pytest.mark.parametrize("name", NASTY)
def test_a_nasty_env_file_costs_neither_time_nor_memory(name: str) -> None:
    text = NASTY[name]
    must_be_variables_or_an_error(text)
    assert cost(lambda: must_be_variables_or_an_error(text)) < 100
    tracemalloc.start()
    must_be_variables_or_an_error(text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50 * 2**20
