"""Requirements on every job, for every user: meaningful values, valid names.

Checked at submit and again when the container is created; ``policy`` has the rules by user.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from launcher.core.model.job import Job
from launcher.core.model.need import need_of
from launcher.core.policy.policy import has_no_controls
from launcher.errors import UserError
from launcher.imageref import is_reference
from launcher.spec.gpus import GpuRequest
from launcher.spec.job_spec import ULIMITS, JobSpec
from launcher.spec.notify import check_targets
from launcher.spec.plain_fields import PLAIN_FIELDS
from launcher.spec.times import moment

MAX_PRIORITY = 1000
YEAR = 366 * 86400.0
MOST_SLICES = 1024
MOST_NAME = 64
"""Of a profile or UUID, in characters."""
MOST_ENDS = 100
"""Maximum number of ends named for retries."""
MOST_WORDS = 128 * 1024
"""Of command and entrypoint together, in bytes; Linux's limit for one argument
(MAX_ARG_STRLEN)."""

MOST_ENVIRONMENT = 2 * 1024 * 1024
"""Of all variables, in bytes; Linux's default limit for a program (execve(2): a quarter of its
stack limit of 8 MiB)."""
MOST_PATH = 4096
"""In characters; Linux's limit (PATH_MAX)."""

SECRETS = "/run/secrets"
"""The directory of the secrets in a container."""
MOST_SECRETS = 16

_SECRET = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SIGNAL = re.compile(r"SIG[A-Z0-9+-]{2,12}")
_RETRY_ON = re.compile(r"infra|oom|timeout|any|exit:\d{1,3}(-\d{1,3})?")
_MIN_MEMORY = 6 * 1024 * 1024


def check(spec: JobSpec) -> None:
    """Raise ``UserError`` naming the field and its value where a spec makes no job."""
    check_need(need_of(spec))
    check_seconds("time_limit", spec.time_limit)
    if spec.begin is not None:
        moment(spec.begin)
    check_priority(spec.priority)
    for holds, message in (*_rules_of_the_container(spec), *_rules_of_the_queue(spec)):
        if not holds:
            raise UserError(message)
    try:
        check_targets(spec.notify or ())
    except ValueError as error:
        raise UserError(f"notify: {error}") from None


def _rules_of_the_container(spec: JobSpec) -> Iterator[tuple[object, str]]:
    """Yield (condition, error if it is not met) for the program."""
    named = _NAME.fullmatch(spec.name)
    yield named, f"name: {spec.name!r} is not up to 63 letters, digits and ._-"
    if spec.on_host:
        yield from _rules_of_the_host(spec)
    else:
        yield is_reference(spec.image), f"image: {spec.image[:120]!r} is not an image reference"
        yield not spec.foreground, "foreground: only host jobs (`runtime: host`) support it"
    size = sum(len(word.encode()) for word in (*(spec.command or ()), *(spec.entrypoint or ())))
    yield (
        size < MOST_WORDS,
        f"command: it has {size} bytes with the entrypoint; the limit is {MOST_WORDS}",
    )
    yield 0 <= spec.stop_grace_period <= 86400, "stop_grace_period: must be 0s to 24h"
    yield spec.cpus is None or spec.cpus > 0, "cpus: must be more than 0"
    yield spec.shm_size is None or spec.shm_size > 0, "shm_size: must be more than 0"
    enough = spec.mem_limit is None or spec.mem_limit >= _MIN_MEMORY
    yield enough, "mem_limit: Docker takes no less than 6m"
    taken = sum(len(name) + len(value.encode()) + 2 for name, value in spec.environment.items())
    yield (
        taken <= MOST_ENVIRONMENT,
        f"environment: it has {taken} bytes, the limit is {MOST_ENVIRONMENT}; use files instead",
    )
    for each in PLAIN_FIELDS:
        value = getattr(spec, each.name)
        valid = value is None or each.matches(value)
        yield valid, f"{each.name}: {str(value)[:80]!r} is not valid: {each.hint}"
    ports_fit = all(0 < port < 65536 for port in spec.ports)
    yield ports_fit, "ports: a port is a number from 1 to 65535"
    yield len(set(spec.ports)) == len(spec.ports), "ports: one is there twice"
    yield spec.ports or not spec.loopback, "loopback: it goes with `ports`"
    for name in spec.environment:
        yield _ENV_NAME.fullmatch(name), f"environment: {name!r} is not a variable name"
    yield from _rules_of_limits(spec)
    yield from _rules_of_paths(spec)
    yield from _rules_of_secrets(spec)
    texts = (*(spec.command or ()), *(spec.entrypoint or ()), *spec.environment.values())
    nul = any("\0" in text for text in texts)
    yield not nul, "command: a NUL character cannot be passed to a program"


def _rules_of_limits(spec: JobSpec) -> Iterator[tuple[object, str]]:
    """Yield (condition, error if it is not met) for ulimits and driver capabilities."""
    for ulimit, limit in spec.ulimits.items():
        whole = limit.soft >= -1 and limit.hard >= -1
        ordered = limit.hard == -1 or 0 <= limit.soft <= limit.hard
        known = f"ulimits: {ulimit!r} is not one of {', '.join(ULIMITS)}"
        yield ulimit in ULIMITS, known
        yield whole and ordered, f"ulimits: {ulimit}={limit.soft}:{limit.hard} is not a limit"
    yield (
        not spec.gpus.capabilities or spec.gpus.kind != "none",
        "gpus.capabilities: a job without a GPU has none",
    )


def _rules_of_the_host(spec: JobSpec) -> Iterator[tuple[object, str]]:
    """Yield (condition, error if it is not met) for a command without a container."""
    yield spec.command, "command: a host job needs one"
    whole = spec.tty == spec.stdin_open and not (spec.tty and spec.foreground)
    yield whole, "tty: a host job in the background has it with `stdin_open`, others have neither"
    absent = {
        "image": spec.image,
        "entrypoint": spec.entrypoint,
        "volumes": spec.volumes,
        "user": spec.user,
        "network_mode": spec.network_mode,
        "profile": spec.policy_profile,
        "secrets": spec.secrets,
        "ulimits": spec.ulimits,
        "tmp": spec.tmp != "disk",
        "ports": spec.ports,
        **{field.name: getattr(spec, field.name) for field in PLAIN_FIELDS},
    }
    for field, value in absent.items():
        yield not value, f"{field}: a host job has no container, and so none of its settings"
    background = spec.working_dir is not None or spec.foreground
    yield background, "working_dir: a host job in the background needs one"


def _rules_of_paths(spec: JobSpec) -> Iterator[tuple[object, str]]:
    """Yield (condition, error if it is not met) for mounts and the working directory."""
    paths = (spec.working_dir or "", *(path for b in spec.volumes for path in (b.source, b.target)))
    longest = max(map(len, paths))
    yield (
        longest <= MOST_PATH,
        f"volumes: a path has {longest} characters, the limit is {MOST_PATH}",
    )
    for bind in spec.volumes:
        absolute = bind.source.startswith("/") and bind.target.startswith("/")
        yield absolute, f"volumes: {bind.source}:{bind.target} must be absolute paths"
        printable = has_no_controls(bind.source) and has_no_controls(bind.target)
        yield printable, f"volumes: {bind.source!r}:{bind.target!r} has a control character"
    directory = spec.working_dir
    if directory is not None:
        yield directory.startswith("/"), f"working_dir: {directory!r} must be an absolute path"
        yield has_no_controls(directory), f"working_dir: {directory!r} has a control character"


def _rules_of_secrets(spec: JobSpec) -> Iterator[tuple[object, str]]:
    most = len(spec.secrets) <= MOST_SECRETS
    yield most, f"secrets: {len(spec.secrets)} are more than {MOST_SECRETS}"
    for name in spec.secrets:
        yield _SECRET.fullmatch(name), f"secrets: {name!r} is not a file name: A-Z a-z 0-9 . _ -"
    for bind in spec.volumes if spec.secrets else ():
        target = posixpath.normpath(f"/{bind.target.lstrip('/')}").rstrip("/") + "/"
        if target.startswith("/var/run/"):  # a symlink to /run in most images
            target = target.removeprefix("/var")
        near = target.startswith(f"{SECRETS}/") or f"{SECRETS}/".startswith(target)
        yield not near, f"volumes: {bind.target} is in the way of {SECRETS}"


def check_need(need: GpuRequest) -> None:
    """Raise ``UserError`` for a request that means no slices."""
    kind = need.kind
    rules = (
        (1 <= need.count <= MOST_SLICES, f"gpus: count {need.count} is not 1 to {MOST_SLICES}"),
        (kind != "profile" or need.profile, "gpus: the profile is missing"),
        (
            kind != "memory" or (need.memory_gb or need.memory_mib or 0) > 0,
            "gpus: the memory is missing",
        ),
        (
            kind != "uuid" or len(set(need.uuids)) == len(need.uuids) > 0,
            "gpus: the UUIDs are missing or one is named twice",
        ),
        (
            len(need.uuids) <= MOST_SLICES
            and all(len(name) <= MOST_NAME for name in (need.profile or "", *need.uuids)),
            f"gpus: at most {MOST_SLICES} names of {MOST_NAME} characters are allowed",
        ),
    )
    for holds, message in rules:
        if not holds:
            raise UserError(message)


def check_seconds(field: str, seconds: float | None) -> None:
    """Raise ``UserError`` for a duration of 0, or of more than a year."""
    if seconds is not None and not 0 < seconds <= YEAR:
        raise UserError(f"{field}: must be more than 0 and at most a year")


def _rules_of_the_queue(spec: JobSpec) -> Iterator[tuple[object, str]]:
    """Yield (condition, error if it is not met) for a job's end and retries."""
    idle, warn, retries = spec.idle_timeout, spec.signal, spec.retries
    if idle is not None:
        yield 0 < idle <= YEAR, "idle_timeout: must be more than 0 and at most a year"
        yield spec.gpus.kind != "none", "idle_timeout: a job without a GPU has no use"
    yield (
        not spec.depends_any or spec.depends_on,
        "depends_any: there is no job in `depends_on` that could suffice",
    )
    if warn is not None:
        valid = _SIGNAL.fullmatch(warn.name) and warn.name not in ("SIGKILL", "SIGSTOP")
        yield valid, f"signal: {warn.name!r} is not a signal that a job can be warned with"
        before = 0 < warn.before <= min(YEAR, spec.time_limit or YEAR)
        yield before, "signal: `before` must be more than 0 and no longer than the time limit"
    if retries is not None:
        yield 0 <= retries.max <= 100, f"retries: {retries.max} is not 0 to 100"
        few = len(retries.on) <= MOST_ENDS
        yield few, f"retries: {len(retries.on)} ends are named, the limit is {MOST_ENDS}"
        for word in retries.on:
            yield _RETRY_ON.fullmatch(word), f"retries: {word!r} is not an end that can be retried"
        backoff = 0 <= retries.backoff <= retries.max_backoff <= YEAR
        yield backoff, "retries: `backoff` must be 0 to `max_backoff`, that at most a year"


def check_priority(priority: int) -> None:
    """Raise ``UserError`` for an invalid priority."""
    if not 0 <= priority <= MAX_PRIORITY:
        raise UserError(f"priority: {priority} is not 0 to {MAX_PRIORITY}")


def check_edit(job: Job, need: GpuRequest, limit: float | None) -> None:
    """Raise ``UserError`` where a job cannot be like this with what it has."""
    check_need(need)
    check_seconds("time_limit", limit)
    if job.idle_timeout is not None and need.kind == "none":
        raise UserError(
            "gpus: the job has an idle_timeout, which needs a GPU",
            fix="Submit it again without it.",
        )
    if job.warn is not None and limit is not None and job.warn.before >= limit:
        raise UserError(
            f"time_limit: {limit:g} s is not longer than the {job.warn.before:g} s before it "
            f"at which the job wants {job.warn.name}"
        )
