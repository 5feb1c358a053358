"""Compose files: which services become jobs, and what they wait for."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.errors import UserError
from launcher.jobfile import load
from tests.unit.jobfile.compose.files import Reading, dependencies, names, service

PIPELINE = """\
services:
  prepare: {image: x}
  train: {image: x, depends_on: {prepare: {condition: service_completed_successfully}}}
  report: {image: x, depends_on: [train]}
  debug: {image: x, profiles: [tools]}
"""


def test_a_file_with_services_is_a_compose_file_and_each_service_a_job() -> None:
    text = "name: mine\nversion: '3'\nx-a: 1\nservices:\n  b: {image: x}\n  a: {image: y, x-b: 2}\n"
    reading = Reading(text + "networks: {n: }\nvolumes: {v: {}}\nconfigs: {}\n")
    assert [(job.name, job.image) for job in reading.jobs] == [("b", "x"), ("a", "y")]
    assert not reading.said
    assert not reading.notices


def test_services_that_are_submitted_together_wait_for_each_other() -> None:
    reading = Reading(PIPELINE)
    assert dependencies(reading.jobs) == {
        "prepare": {}, "train": {"prepare": "afterok"}, "report": {"train": "afterok"},
    }  # fmt: skip
    assert reading.notices == [
        "5:3: `debug` is left out, as it has `profiles`: --service debug takes it",
        "4:35: the job waits until `train` has completed, not only until it has started",
    ]


def test_a_picked_service_does_not_wait_for_one_that_is_not() -> None:
    reading = Reading(PIPELINE, "train")
    assert dependencies(reading.jobs) == {"train": {}}
    assert reading.notices == ["3:34: `prepare` is not submitted, and so it is not waited for"]
    assert dependencies(Reading(PIPELINE, "train", "prepare").jobs)["train"] == {
        "prepare": "afterok"
    }


def test_profiles_are_active_by_name_by_the_variable_or_when_the_service_is_picked() -> None:
    assert names(Reading(PIPELINE, "debug").jobs) == ["debug"]
    for active in ("tools", "other, tools", "*"):
        assert names(Reading(PIPELINE, COMPOSE_PROFILES=active).jobs)[-1] == "debug"
    only = Reading("services: {a: {image: x, profiles: [p]}}")
    assert only.said == ["1:1: no service of this file is submitted"]


@pytest.mark.parametrize(
    ("depends_on", "said"),
    [
        ("[prepar]", "3:20: `prepar` is not a key of `services` (did you mean `prepare`?)"),
        ("{prepare: {condition: service_healthy}}", "'service_healthy' is for services"),
        ("{prepare: {condition: done}}", "'done' is not known"),
        ("{prepare: {conditoin: x}}", "did you mean `condition`?"),
        ("[[prepare]]", "a service of `depends_on` must be text"),
    ],
)
def test_a_wrong_dependency_is_told(depends_on: str, said: str) -> None:
    text = f"services:\n  prepare: {{image: x}}\n  a: {{depends_on: {depends_on}, image: x}}\n"
    assert said in "\n".join(Reading(text).said)


def test_a_dependency_that_is_not_required_may_be_missing() -> None:
    reading = service("depends_on: {b: {condition: service_healthy, required: false}}")
    assert reading.job.depends_on == {}


def test_started_means_the_same_in_the_short_and_the_long_form() -> None:
    for depends_on in (
        "[b]",
        "{b: {condition: service_started}}",
        "{b: {}}",
        "{b: {restart: true}}",
    ):
        text = f"services: {{b: {{image: x}}, a: {{image: x, depends_on: {depends_on}}}}}"
        reading = Reading(text)
        assert dependencies(reading.jobs)["a"] == {"b": "afterok"}
        assert "not only until it has started" in reading.notices[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("service: {a: {image: x}}", "`service` is not a key of a job"),
        ("services: {a: {image: x}}\nservces: {}", "did you mean `services`?"),
        ("services: {a: {image: x}}\njobs: {}", "`jobs` is not a key of a Compose file"),
        ("services: {a: {image: x}}\ninclude: [b.yaml]", "`include` is not read"),
        ("services: {a: [x]}", "the service `a` must be a mapping"),
        ("services: [a]", "`services` must be a mapping"),
        ("services: {a: }", "the service `a` must be a mapping"),
        ("services:", "no service of this file is submitted"),
        ("services: {12: {image: x}}", "'12' cannot be a job's name"),
        ("services: {a: {command: x}}", "the job has no `image`"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(text: str, said: str) -> None:
    assert said in "\n".join(Reading(text).said)


def test_services_is_not_taken_for_a_misspelt_secrets() -> None:
    assert "secrets" not in "\n".join(Reading("services: {a: {image: x, foo: 1}}").said)
    assert "did you mean" not in "\n".join(Reading("image: x\nservice: {a: 1}").said)


def test_mistakes_of_all_services_are_told_at_once_and_a_shared_one_once() -> None:
    reading = Reading(
        "x-all: &all {privileged: true}\n"
        "services:\n  a: {<<: *all, image: x, cap_add: [A]}\n  b: {<<: *all, image: X, pid: host}\n"
    )
    assert [each.split(": ")[0] for each in reading.said] == ["1:14", "3:27", "4:24", "4:27"]
    assert not reading.jobs


def test_a_service_is_picked_from_several_files_and_a_wrong_name_is_told(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(f"services: {{{name}: {{image: x}}}}")
    (tmp_path / "plain.yaml").write_text("image: x")
    paths = [str(tmp_path / "one.yaml"), str(tmp_path / "two.yaml")]
    assert names(load(paths, services=["two"])) == ["two"]
    with pytest.raises(UserError, match="no service 'too'") as error:
        load(paths, services=["too"])
    assert error.value.fix == "Did you mean two?"
    with pytest.raises(UserError, match="--service picks services of a Compose file"):
        load([str(tmp_path / "plain.yaml")], services=["one"])


def test_the_launchers_own_keys_stand_under_x_launcher() -> None:
    reading = service(
        "gpus: all\nx-launcher: {gpus: 1g.6gb, array: 0-9, schedule: {time_limit: 4h, priority: 7}}"
    )
    assert (str(reading.job.gpus), reading.job.time_limit) == ("1 x 1g.6gb", 14400.0)
    assert reading.job.array is not None
    wrong = service("x-launcher: {schedul: {}}").said
    assert wrong == ["4:18: `schedul` is not a key of a job (did you mean `schedule`?)"]
