"""``${NAME}`` in plain job files: it passes as it is, and is mentioned with its place."""

from __future__ import annotations

import pytest

from tests.unit.jobfile.compose.files import Reading

SAID = "is not a key of a matrix, and passes as it is: variables are replaced in Compose files only"


def test_a_variable_in_a_plain_job_file_passes_and_is_mentioned() -> None:
    reading = Reading("image: x\ncommand:\n  - echo\n  - ${HOME}/x ${TAG:-1} $HOME $${X}\n")
    assert reading.job.command == ("echo", "${HOME}/x ${TAG:-1} $HOME $${X}")
    assert reading.notices == [f"4:5: ${{HOME}} {SAID}", f"4:5: ${{TAG}} {SAID}"]


@pytest.mark.parametrize(
    "line",
    ["image: 'x'", "x-note: ${HOME}", "command: $HOME", "command: $${HOME}", "command: ${}",
     "command: ${1}", "command: ${a.b}"],
)  # fmt: skip
def test_what_is_not_a_variable_is_not_mentioned(line: str) -> None:
    image = "" if line.startswith("image") else "image: x\n"
    assert Reading(f"{image}{line}").notices == []


def test_a_key_of_the_matrix_is_replaced_and_another_one_mentioned() -> None:
    text = "jobs:\n  a:\n    image: x\n    command: run ${lr} ${seed}\n    matrix: {lr: [1, 2]}\n"
    assert Reading(text).notices == [f"4:14: ${{seed}} {SAID}"]


def test_a_dollar_that_compose_escapes_is_not_mentioned() -> None:
    assert Reading("services: {a: {image: x, command: 'echo $${HOME}'}}").notices == []


def test_of_many_only_the_first_are_mentioned() -> None:
    reading = Reading("image: x\ncommand: '" + "".join(f"${{a{n}}}" for n in range(9000)) + "'")
    assert len(reading.notices) == 21
    assert reading.notices[-1] == "… and 8980 more notes"
