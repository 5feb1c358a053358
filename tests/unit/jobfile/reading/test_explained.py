"""What is said of each key: that all of them are there, and that what is said of them is true."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from launcher.errors import JobFileError
from launcher.jobfile.reading import jobs, matrix, notify
from launcher.jobfile.reading import keys as table
from launcher.jobfile.reading.explained import Explained, Fragment, explained
from launcher.jobfile.reading.files import load_text
from launcher.jobfile.reading.json_schema import schema
from launcher.jobfile.reading.keys import JOB, SCHEDULE
from launcher.jobfile.values import dependencies, gpus, schedule
from launcher.jobfile.values.nodes import Scalar
from launcher.jobfile.values.scalars import unknown
from launcher.spec.job_spec import ULIMITS, JobSpec, Retries

KEYS = explained(schema())
UNKNOWN = "zzz"
PLACES: dict[str, Fragment] = {
    "schedule": {"schedule": {UNKNOWN: 1}},
    "gpus": {"gpus": {UNKNOWN: 1}},
    "gpus.options": {"gpus": {"options": {UNKNOWN: 1}}},
    "env_file": {"env_file": [{UNKNOWN: 1}]},
    "volumes": {"volumes": [{UNKNOWN: 1}]},
    "volumes.bind": {"volumes": [{"source": "/a", "target": "/b", "bind": {UNKNOWN: 1}}]},
    "notify": {"notify": [{UNKNOWN: 1}]},
    "depends_on": {"depends_on": {"other": {UNKNOWN: 1}}},
    "schedule.retries": {"schedule": {"retries": {UNKNOWN: 1}}},
    "schedule.signal": {"schedule": {"signal": {UNKNOWN: 1}}},
}
"""Each mapping whose keys the reader knows by name."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the files that the examples name."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (".env", "local.env", ".hf_token"):
        (tmp_path / name).write_text("A=1\n")
    return tmp_path


def read(fragment: Fragment, home: Path) -> list[JobSpec]:
    """Return the jobs of a part of a job file, after what every job needs."""
    whole = fragment if fragment.keys() & {"jobs", "runtime"} else {"image": "busybox", **fragment}
    text = yaml.safe_dump(whole).encode()
    found, problems = load_text(text, "f.yaml", home, client={})
    assert not problems, problems
    return found


def inside(key: str) -> set[str]:
    return {name.rpartition(".")[2] for name in KEYS[key].keys}


def test_every_key_of_a_job_is_explained_and_no_other() -> None:
    names = {"jobs", "schedule", *JOB, *(f"schedule.{name}" for name in SCHEDULE)}
    assert {name for name, each in KEYS.items() if name in names} == names
    top = {name for name in KEYS if "." not in name}
    assert top == {"jobs", "schedule", *JOB}
    assert inside("schedule") == set(SCHEDULE)


@pytest.mark.parametrize("place", PLACES)
def test_every_key_inside_another_is_explained_and_no_other(
    place: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted: list[set[str]] = []

    def record(key: Scalar, known: Iterable[str], label: str) -> JobFileError:
        accepted.append(set(known))
        return unknown(key, known, label)

    for module in (jobs, table, matrix, dependencies, gpus, notify, schedule):
        monkeypatch.setattr(module, "unknown", record)
    text = yaml.safe_dump({"image": "busybox", **PLACES[place]}).encode()
    assert load_text(text, "f.yaml", home, client={})[1]
    assert accepted == [inside(place)]


def test_the_keys_of_limits_and_matrices_are_explained() -> None:
    assert inside("ulimits") == set(ULIMITS)
    assert all(inside(f"ulimits.{name}") == {"soft", "hard"} for name in ULIMITS)
    assert inside("matrix") == {"exclude", "include"}


def test_no_other_key_has_keys_inside() -> None:
    others = {"ulimits", *(f"ulimits.{name}" for name in ULIMITS), "matrix"}
    assert {name for name, each in KEYS.items() if each.keys} == PLACES.keys() | others


@pytest.mark.parametrize("key", KEYS)
def test_every_key_has_a_meaning_a_default_and_examples_that_have_it(key: str) -> None:
    each = KEYS[key]
    assert each.meaning.endswith(".")
    assert each.default
    assert each.examples
    assert all(_owners(example, key.split(".")) for example in each.examples)


@pytest.mark.parametrize("key", KEYS)
def test_every_example_is_accepted(key: str, home: Path) -> None:
    for example in KEYS[key].examples:
        assert read(example, home)


def _owners(value: Any, path: list[str]) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the mappings in an example that hold a key, through lists and free names."""
    if isinstance(value, list):
        for item in value:
            yield from _owners(item, path)
    elif isinstance(value, dict):
        if path[0] not in value:
            for item in value.values():
                yield from _owners(item, path)
        elif len(path) == 1:
            yield value, path[0]
        else:
            yield from _owners(value[path[0]], path[1:])


def _rule(key: str) -> dict[str, Any]:
    """Return the part of the schema that describes a key."""

    def found(rule: Any, path: list[str]) -> dict[str, Any] | None:
        if not path:
            return dict(rule)
        if isinstance(rule, dict):
            if path[0] in rule.get("properties", {}):
                return found(rule["properties"][path[0]], path[1:])
            inner = (*rule.get("oneOf", ()), rule.get("items"), rule.get("additionalProperties"))
            return next(filter(None, (found(each, path) for each in inner)), None)
        return None

    parts = schema()["$defs"]
    result = found(parts["job"], key.split(".")) or found(parts["several"], key.split("."))
    assert result is not None
    return result


def _meant(spec: JobSpec) -> JobSpec:
    """No retries and retries of 0 times are the same."""
    return dataclasses.replace(spec, retries=spec.retries or Retries())


MECHANICAL = [key for key in KEYS if "default" in _rule(key)]


@pytest.mark.parametrize("key", MECHANICAL)
def test_a_default_means_the_same_as_the_key_left_out(key: str, home: Path) -> None:
    example, value = KEYS[key].examples[0], _rule(key)["default"]
    without, written = copy.deepcopy(example), copy.deepcopy(example)
    for owner, name in _owners(without, key.split(".")):
        del owner[name]
    for owner, name in _owners(written, key.split(".")):
        owner[name] = value
    if key == "gpus.options":  # the slices stand beside it then
        without, written = {"gpus": "1g.6gb"}, {"gpus": {"profile": "1g.6gb", "options": value}}
    assert [*map(_meant, read(without, home))] == [*map(_meant, read(written, home))]


def test_most_defaults_are_checked() -> None:
    words = {key for key in KEYS if key not in MECHANICAL and KEYS[key].default != "required"}
    assert len(MECHANICAL) > len(words) / 2
    assert all("x-default" in _rule(key) for key in words)


@pytest.mark.parametrize("name", [key for key in JOB if key not in MECHANICAL])
def test_a_default_in_words_is_one_that_the_reader_leaves_to_others(name: str, home: Path) -> None:
    field = JOB[name][0]
    if field in ("image", "name", "matrix", "max_parallel"):
        return
    default = getattr(read({}, home)[0], field)
    assert default is None or (field, default) == ("runtime", "docker")


def test_the_schema_of_the_package_says_the_same() -> None:
    from launcher.jobfile.reading.explained import stored_schema

    assert explained(stored_schema()) == KEYS
    assert all(isinstance(each, Explained) for each in KEYS.values())
    assert json.loads(json.dumps(schema())) == stored_schema()
