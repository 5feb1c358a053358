"""A file's tree -> its jobs: one job at the top level, or several by name under ``jobs:``."""

from __future__ import annotations

from typing import Any

from launcher.errors import JobFileError
from launcher.jobfile import words
from launcher.jobfile.keys import (
    JOB,
    LATER_JOB,
    LATER_SCHEDULE,
    NEVER,
    SCHEDULE,
    Around,
    Read,
)
from launcher.jobfile.nodes import Mapping, Node, Scalar
from launcher.jobfile.values import entries, parsed, unknown
from launcher.wire import JobRequest

MAX_JOBS = 10_000


def read_jobs(root: Node, around: Around) -> tuple[list[JobRequest], list[JobFileError]]:
    """Return the jobs of a file, and everything that is wrong with it."""
    problems: list[JobFileError] = []
    try:
        jobs = _jobs(root, around, problems)
    except JobFileError as error:
        problems.append(error)
        jobs = []
    return jobs, problems


def _jobs(root: Node, around: Around, problems: list[JobFileError]) -> list[JobRequest]:
    if isinstance(root, Scalar) and root.value is None:
        raise root.error("the file is empty", fix="A job needs at least `image: NAME`.")
    if not isinstance(root, Mapping):
        raise root.error(f"a job file is a mapping (`key: value`), not {root.kind}")
    found = {key.text: (key, value) for key, value in entries(root, "a job file")}
    if "jobs" not in found:
        job = _job(root, None, around, problems)
        return [job] if job else []
    for key, _ in found.values():
        if key.text != "jobs":
            problems.append(_beside_jobs(key))
    named = entries(found["jobs"][1], "`jobs`")
    if not named:
        raise found["jobs"][1].error("`jobs` is empty")
    if len(named) > MAX_JOBS:
        raise found["jobs"][1].error(f"`jobs` has more than {MAX_JOBS} jobs")
    return [job for key, node in named if (job := _named(key, node, around, problems))]


def _beside_jobs(key: Scalar) -> JobFileError:
    if key.text in JOB or key.text == "schedule":
        return key.error(f"`{key.text}` stands beside `jobs`: move it into one of the jobs")
    return unknown(key, ["jobs"], "a job file with several jobs")


def _named(
    key: Scalar, node: Node, around: Around, problems: list[JobFileError]
) -> JobRequest | None:
    try:
        name = parsed(key, "the job's name", words.check_name)
        if not isinstance(node, Mapping):
            raise node.error(f"the job `{name}` must be a mapping, not {node.kind}")
    except JobFileError as error:
        problems.append(error)
        return None
    return _job(node, name, around, problems)


def _job(
    node: Node, name: str | None, around: Around, problems: list[JobFileError]
) -> JobRequest | None:
    before = len(problems)
    fields: dict[str, Any] = {}
    for key, value in entries(node, "a job"):
        try:
            if key.text == "name" and name is not None:
                raise key.error("the key under `jobs` is the job's name: leave `name` out")
            if key.text == "schedule":
                _schedule(value, around, fields, problems)
            else:
                field, read = _reader(key, JOB, LATER_JOB, "a job")
                fields[field] = read(value, around)
        except JobFileError as error:
            problems.append(error)
    if len(problems) > before:
        return None
    if "image" not in fields:
        problems.append(node.error("the job has no `image`", fix="Add `image: NAME[:TAG]`."))
        return None
    fields["environment"] = {**fields.pop("env_file", {}), **fields.get("environment", {})}
    fields.setdefault("name", name or words.default_name(fields["image"]))
    return JobRequest(**fields)


def _schedule(
    node: Node, around: Around, fields: dict[str, Any], problems: list[JobFileError]
) -> None:
    for key, value in entries(node, "`schedule`"):
        try:
            field, read = _reader(key, SCHEDULE, LATER_SCHEDULE, "`schedule`")
            fields[field] = read(value, around)
        except JobFileError as error:
            problems.append(error)


def _reader(
    key: Scalar, table: dict[str, tuple[str, Read]], later: tuple[str, ...], what: str
) -> tuple[str, Read]:
    if key.text in table:
        return table[key.text]
    if key.text in later:
        raise key.error(f"`{key.text}` is not available yet in this version")
    if key.text in NEVER:
        raise key.error(f"`{key.text}` is not a key of {what}: {NEVER[key.text]}")
    if what == "a job" and key.text in (*SCHEDULE, *LATER_SCHEDULE):
        raise key.error(f"`{key.text}` belongs under `schedule`")
    if what != "a job" and key.text in JOB:
        raise key.error(f"`{key.text}` belongs to the job, not under `schedule`")
    extra = ("schedule", "jobs") if what == "a job" else ()
    raise unknown(key, (*table, *extra), what)
