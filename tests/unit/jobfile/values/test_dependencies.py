"""``depends_on`` as Compose writes it, a list, a word or a mapping, and what is refused."""

from __future__ import annotations

import pytest

from launcher.errors import JobFileError
from launcher.jobfile.values.dependencies import read_depends_on
from launcher.jobfile.values.nodes import read_node


def read(text: str) -> dict[str, str]:
    return read_depends_on(read_node(text, "f.yaml"))


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("prepare", {"prepare": "afterok"}),
        ("12", {"12": "afterok"}),
        ("[prepare, 12, '7[3]']", {"prepare": "afterok", "12": "afterok", "7[3]": "afterok"}),
        ("[]", {}),
        ("{prepare: {}}", {"prepare": "afterok"}),
        ("{a: {condition: afterany}, b: {condition: afternotok}}",
         {"a": "afterany", "b": "afternotok"}),
        ("{a: {condition: service_completed_successfully}}", {"a": "afterok"}),
        ("{a: {condition: service_started}, b: {condition: aftercorr}}",
         {"a": "after", "b": "aftercorr"}),
        ("{a: {condition: after, delay: 10m}}", {"a": "after+10"}),
        ("{a: {x-why: because, condition: afterok}}", {"a": "afterok"}),
    ],
)  # fmt: skip
def test_each_form_names_jobs_and_how_they_must_end(text: str, result: dict[str, str]) -> None:
    assert read(text) == result


@pytest.mark.parametrize(
    ("text", "at", "words"),
    [
        ("My Job", 1, "'My Job' is not a valid job"),
        ("[a, '12[x]']", 5, "is not a valid job"),
        ("[[a]]", 2, "a job must be text"),
        ("{a: afterok}", 5, "a dependency must be a mapping"),
        ("{a: {when: afterok}}", 6, "`when` is not a key of a dependency"),
        ("{a: {condition: later}}", 17, "'later' is not known"),
        ("{a: {condition: service_healthy}}", 17, "is for services"),
        ("{a: {delay: 10m}}", 6, "`delay` goes with `condition: after`"),
        ("{a: {condition: after, delay: 90s}}", 31, "whole minutes"),
    ],
)
def test_what_names_no_job_or_no_end_is_refused_where_it_stands(
    text: str, at: int, words: str
) -> None:
    with pytest.raises(JobFileError) as refused:
        read(text)
    assert words in refused.value.message
    assert refused.value.column == at
