"""``${VAR}``: Compose's own cases, and bounds on what variables can make of a text."""

from __future__ import annotations

import re

import pytest

from launcher.jobfile.variables.substitution import MAX_DEPTH, TextBudget, Variables
from tests.unit.jobfile.variables import compose_cases

SET = {"FOO": "first", "BAR": "", "JSON": '{"json":2}'}


@pytest.mark.parametrize(("text", "result"), compose_cases.TEMPLATES)
def test_a_text_becomes_what_compose_makes_of_it(text: str, result: str) -> None:
    assert Variables(SET.get).substitute(text) == result


@pytest.mark.parametrize("text", compose_cases.INVALID)
def test_what_compose_calls_invalid_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a valid variable|is not closed"):
        Variables(SET.get).substitute(text)


@pytest.mark.parametrize(("text", "message"), compose_cases.REQUIRED)
def test_a_required_variable_that_is_missing_is_named_with_the_reason(
    text: str, message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Variables(SET.get).substitute(text)


def test_a_variable_is_reported_as_unset_only_where_it_is_used() -> None:
    variables = Variables(SET.get)
    variables.substitute("${A:+${B}} ${FOO:-${C}} ${D:-${E}} $F $F")
    assert list(variables.unset) == ["E", "F"]


def test_a_default_may_have_several_lines() -> None:
    assert Variables(SET.get).substitute("${A:-one\ntwo}") == "one\ntwo"


def test_a_value_is_not_substituted_again() -> None:
    assert Variables({"A": "$B ${C:?no}"}.get).substitute("$A ${A}") == "$B ${C:?no} $B ${C:?no}"


def test_variables_nested_too_deep_are_refused() -> None:
    text = "${A:-" * 40_000 + "}" * 40_000
    with pytest.raises(ValueError, match=f"nested more than {MAX_DEPTH} levels"):
        Variables(SET.get).substitute(text)
    deep = "${A:-" * (MAX_DEPTH - 1) + "x" + "}" * (MAX_DEPTH - 1)
    assert Variables(SET.get).substitute(deep) == "x"


def test_a_text_that_grows_is_refused_before_it_is_made() -> None:
    variables = Variables({"A": "x" * 100_000}.get)
    with pytest.raises(ValueError, match="too long: over 1 MiB"):
        variables.substitute("$A" * 100_000)


def test_all_texts_of_a_file_have_one_budget() -> None:
    variables = Variables({"A": "x" * 10}.get, TextBudget(25))
    assert variables.substitute("$A") == variables.substitute("${A}")
    with pytest.raises(ValueError, match="too long"):
        variables.substitute("$A")


@pytest.mark.parametrize("text", ["${A:-{" * 40_000, "${" * 100_000, "$" * 200_001, "{$A" * 50_000])
def test_a_text_of_many_braces_is_read_in_one_pass(text: str) -> None:
    try:
        assert Variables(SET.get).substitute(text)
    except ValueError as error:
        assert len(str(error)) < 200
