"""Plain fields of a job: one row drives the job file, the flag, both checks and the create body."""

from __future__ import annotations

import dataclasses

import pytest

from launcher.core.policy import validate
from launcher.engine import validate as second_look
from launcher.errors import UserError
from launcher.jobfile.reading.keys import JOB
from launcher.jobfile.reading.together import OF_CONTAINERS
from launcher.spec.job_spec import JobSpec
from launcher.spec.plain_fields import PLAIN_FIELDS
from tests.support.builders import CPU

NAMES = [each.name for each in PLAIN_FIELDS]
VALID = {"hostname": ["a", "node-1", "A9", "x" * 63]}
INVALID = {"hostname": ["", "-a", "a-", "a.b", "a b", "x" * 64, "ä", "a\n", "a_b", "a\0"]}


@pytest.mark.parametrize("name", NAMES)
def test_a_plain_field_is_in_the_specification_and_the_job_file(name: str) -> None:
    fields = {each.name: each for each in dataclasses.fields(JobSpec)}
    assert fields[name].default is None
    assert JOB[name][0] == name
    assert name in OF_CONTAINERS


def cases(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(name, value) for name in NAMES for value in table[name]]


@pytest.mark.parametrize(("name", "value"), cases(VALID))
def test_a_valid_value_passes_every_check(name: str, value: str) -> None:
    field = next(each for each in PLAIN_FIELDS if each.name == name)
    assert field.check(value) == value
    validate.check(JobSpec("job", "busybox", CPU, **{name: value}))  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "value"), cases(INVALID))
def test_another_value_is_refused_by_client_and_daemon(name: str, value: str) -> None:
    field = next(each for each in PLAIN_FIELDS if each.name == name)
    with pytest.raises(ValueError, match=f"is not a valid {name}"):
        field.check(value)
    with pytest.raises(UserError, match=f"{name}: .* is not valid"):
        validate.check(JobSpec("job", "busybox", CPU, **{name: value}))  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [*INVALID["hostname"], None, 3, ["a"]])
def test_the_second_look_refuses_what_is_not_a_host_name(value: object) -> None:
    assert not second_look._BODY_MAY["Hostname"](value)


@pytest.mark.parametrize("value", VALID["hostname"])
def test_the_second_look_passes_a_host_name(value: str) -> None:
    assert second_look._BODY_MAY["Hostname"](value)
