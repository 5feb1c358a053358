"""A file's tree -> its jobs: one job at the top level, or several by name under ``jobs:``."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

from launcher.errors import JobFileError
from launcher.interpolation import template
from launcher.jobfile.compose.interpolation import client_variables
from launcher.jobfile.compose.services import is_compose, jobs_of
from launcher.jobfile.reading import together
from launcher.jobfile.reading.keys import JOB, NEVER, SCHEDULE, Around, Read
from launcher.jobfile.reading.literals import tell_literals
from launcher.jobfile.values import names as words
from launcher.jobfile.values import volumes
from launcher.jobfile.values.nodes import SMALLER, Items, Mapping, Node, Scalar
from launcher.jobfile.values.scalars import SeveralErrors, entries, parsed, unknown
from launcher.spec.job_names import default_name
from launcher.spec.job_spec import JobSpec

MAX_JOBS = 5_000
MOST_PROBLEMS = 50
"""So many mistakes are looked for; nobody reads more."""
REPLACED = ("image", "command", "entrypoint", "environment", "working_dir", "volumes")
"""The keys in whose strings a matrix replaces."""


def read_jobs(root: Node, around: Around) -> tuple[list[JobSpec], list[JobFileError]]:
    """Return the jobs of a file, and everything that is wrong with it."""
    problems: list[JobFileError] = []
    try:
        jobs = _jobs(root, around, problems)
    except JobFileError as error:
        problems.append(error)
        jobs = []
    return jobs, problems


def _jobs(root: Node, around: Around, problems: list[JobFileError]) -> list[JobSpec]:
    if isinstance(root, Scalar) and root.value is None:
        raise root.error("the file is empty", fix="A job needs at least `image: NAME`.")
    if not isinstance(root, Mapping):
        raise root.error(f"a job file is a mapping (`key: value`), not {root.kind}")
    if is_compose(root):
        return _services(root, around, problems)
    keys = {key.text: (key, value) for key, value in entries(root, "a job file")}
    if "jobs" not in keys:
        job = _job(root, None, around, problems)
        return [job] if job else []
    for key, _ in keys.values():
        if key.text != "jobs":
            problems.append(_beside_jobs(key))
    named = entries(keys["jobs"][1], "`jobs`")
    if not named:
        raise keys["jobs"][1].error("`jobs` is empty")
    if len(named) > MAX_JOBS:
        raise keys["jobs"][1].error(f"`jobs` has more than {MAX_JOBS} jobs", fix=SMALLER)
    return _each(named, around, problems)


def _services(root: Node, around: Around, problems: list[JobFileError]) -> list[JobSpec]:
    """Return the jobs of a Compose file's services."""
    client = client_variables(around.base, around.client, around.notices)
    named = jobs_of(root, around.picked, client, around.notices, problems)
    if not named and not problems and not around.picked.names:
        raise root.error("no service of this file is submitted", fix="Pick one: --service NAME.")
    jobs = _each(named, replace(around, client=client, compose=True), problems)
    # Several services may have one value, by an alias; a wrong variable makes a wrong value.
    once = {(problem.line, problem.column): problem for problem in reversed(problems)}
    problems[:] = reversed(once.values())
    return [] if problems else jobs


def _each(
    named: Iterable[tuple[Scalar, Node]], around: Around, problems: list[JobFileError]
) -> list[JobSpec]:
    jobs = []
    for key, node in named:
        if (job := _named(key, node, around, problems)) is not None:
            jobs.append(job)
        elif len(problems) >= MOST_PROBLEMS:
            break
    return jobs


def _beside_jobs(key: Scalar) -> JobFileError:
    if key.text in JOB or key.text == "schedule":
        return key.error(f"`{key.text}` stands beside `jobs`: move it into one of the jobs")
    return unknown(key, ["jobs"], "a job file with several jobs")


def _named(key: Scalar, node: Node, around: Around, problems: list[JobFileError]) -> JobSpec | None:
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
) -> JobSpec | None:
    job = _Job(around)
    job_request = job.read(node, name)
    problems += job.problems
    return job_request


class _Job:
    """One job while it is read: its fields so far, where their keys stand, what is wrong."""

    def __init__(self, around: Around) -> None:
        self.around = around
        self.fields: dict[str, Any] = {}
        self.keys: dict[str, Scalar] = {}
        self.problems: list[JobFileError] = []

    def read(self, node: Node, name: str | None) -> JobSpec | None:
        """Return the job of a mapping, None where something is wrong with it."""
        self._read_job(node, named=name is not None)
        if not self.around.compose:
            tell_literals(node, self.around.keys(), self.around.notices)
        if not self.problems:
            self._check_runtime(node)
        if not self.problems:
            self.problems += together.problems(self.fields, self.keys)
        return None if self.problems else self._request(name)

    def _check_runtime(self, node: Node) -> None:
        """Note what a job lacks, or has too much: a container, or a command without one."""
        if "runtime" not in self.fields:
            if "image" not in self.fields:
                fix = "Add `image: NAME[:TAG]`."
                self.problems.append(node.error("the job has no `image`", fix=fix))
            return
        if "command" not in self.fields:
            self.problems.append(node.error("a job with `runtime: host` needs a `command`"))
        for field in together.OF_CONTAINERS & self.keys.keys():
            key = self.keys[field]
            self.problems.append(
                key.error(f"`{key.text}` is a container's: a job with `runtime: host` has none")
            )

    def _request(self, name: str | None) -> JobSpec:
        own = {key: value for key, value in self.fields.items() if key not in together.PARTS}
        own["environment"] = {**self.fields.get("env_file", {}), **own.get("environment", {})}
        if self.fields.get("home") == "real":
            own["volumes"] = (*own.get("volumes", ()), volumes.real_home())
        if "runtime" in own:
            own.setdefault("image", "")
            if volumes.MOUNTED_ON.get() is None:  # else the user's home on that machine
                own.setdefault("working_dir", str(self.around.base.absolute()))
            own.setdefault("name", name or words.name_of_program(own["command"][0]))
        own.setdefault("name", name or default_name(own["image"]))
        return JobSpec(**own, array=together.array_request(self.fields))

    def _read_job(self, node: Node, *, named: bool) -> None:
        for key, value in sorted(entries(node, "a job"), key=_turn):
            if len(self.problems) >= MOST_PROBLEMS:
                return
            if key.text == "name" and named:
                wrong = "the key under `jobs` is the job's name: leave `name` out"
                self.problems.append(key.error(wrong))
            elif key.text == "schedule":
                self._read_schedule(value)
            else:
                self._read_key(key, value, JOB, "a job")
            if key.text == "matrix":
                self.around = replace(self.around, matrix=self.fields.get("matrix", []))
            elif key.text == "environment":
                self.around = replace(self.around, environment=self.fields.get("environment", {}))

    def _read_schedule(self, node: Node) -> None:
        try:
            keys = entries(node, "`schedule`")
        except JobFileError as error:
            self.problems.append(error)
            return
        for key, value in keys:
            self._read_key(key, value, SCHEDULE, "`schedule`")

    def _read_key(
        self, key: Scalar, value: Node, table: dict[str, tuple[str, Read]], place: str
    ) -> None:
        try:
            field, read = _reader(key, table, place)
            self.fields[field] = read(value, self.around)
            self.keys[field] = key
        except JobFileError as error:
            fixed = key.text in table and key.text not in REPLACED
            errors = error.errors if isinstance(error, SeveralErrors) else [error]
            if fixed and _refers(value, self.around.keys()):
                errors = [_told_where(one) for one in errors]
            self.problems += errors


def _turn(entry: tuple[Scalar, Node]) -> int:
    """The matrix first, as the other keys depend on it; env files last: they name variables."""
    return {"matrix": 0, "env_file": 2}.get(entry[0].text, 1)


def _refers(node: Node, keys: Collection[str]) -> bool:
    """Whether a value holds a ``${key}`` of the job's matrix."""
    if isinstance(node, Mapping):
        return any(_refers(each, keys) for entry in node.entries for each in entry)
    if isinstance(node, Items):
        return any(_refers(item, keys) for item in node.items)
    if not isinstance(node, Scalar) or "$" not in node.text:
        return False
    return template(node.text, keys) is not None


def _told_where(error: JobFileError) -> JobFileError:
    *names, last = REPLACED
    error.message += f"; a matrix replaces in {', '.join(names)} and {last} only"
    error.args = (error.message,)
    return error


def _reader(key: Scalar, table: dict[str, tuple[str, Read]], place: str) -> tuple[str, Read]:
    if key.text in table:
        return table[key.text]
    if key.text in NEVER:
        raise key.error(f"`{key.text}` is not a key of {place}: {NEVER[key.text]}")
    if place == "a job" and key.text in SCHEDULE:
        raise key.error(f"`{key.text}` belongs under `schedule`")
    if place != "a job" and key.text in JOB:
        raise key.error(f"`{key.text}` belongs to the job, not under `schedule`")
    extra = ("schedule", "jobs") if place == "a job" else ()
    raise unknown(key, (*table, *extra), place)
