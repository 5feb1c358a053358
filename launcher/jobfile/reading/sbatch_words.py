"""Slurm's options that people bring, and what to write instead: on the command line, in a file."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from launcher.jobfile.values.gpu_spec import PROFILE
from launcher.jobfile.values.waiting import parse_dependency


@dataclass(frozen=True, slots=True)
class Word:
    """One option of sbatch by its names. ``{}`` in ``flag`` and ``key`` is its value.

    ``flag`` is what to write for it on the command line, ``key`` in a job file; both are None where
    there is nothing to write. ``why`` says more.
    """

    names: tuple[str, ...]
    flag: str | None = None
    key: str | None = None
    why: str = ""


_SLICE = "a slice, or `full` for a whole GPU; `launch slices` lists them"
_ONE_MACHINE = "a job is one container on this machine"
_NO_PLACES = "there are no partitions, accounts or nodes here"
_LOG = "the daemon keeps the output: `launch logs JOB` prints it, with -f as it is written"

WORDS = (
    Word(("-J", "--job-name"), "--name {}", "name: {}"),
    Word(("-t", "--time"), "-t {}", 'schedule: {{time_limit: "{}"}}', "90m, 4h, [D-]HH:MM:SS"),
    Word(
        ("--gres", "-G", "--gpus", "--gpus-per-node", "--gpus-per-task"),
        "--profile 1g.6gb",
        "gpus: 1g.6gb",
        _SLICE,
    ),
    Word(("--mem",), "-m {}", "mem_limit: {}", "512m or 24g"),
    Word(
        ("--mem-per-cpu", "--mem-per-gpu"),
        why="`-m` and `mem_limit` are the memory of the whole job; without them its slice's share",
    ),
    Word(("-c", "--cpus-per-task"), "--cpus {}", "cpus: {}"),
    Word(("-a", "--array"), "--array {}", 'array: "{}"'),
    Word(("-d", "--dependency"), "--dependency {}", "{}"),
    Word(
        ("--signal",), "--signal SIGUSR1@60s", 'schedule: {{signal: "{}"}}',
        "a time with a unit; it goes to the job's first process",
    ),
    Word(("--begin",), "--begin {}", 'schedule: {{begin: "{}"}}'),
    Word(("-H", "--hold"), "--hold", "schedule: {{hold: true}}"),
    Word(("--nice",), "--priority 40", "schedule: {{priority: 40}}", "50 if not said"),
    Word(
        ("--requeue",), "--retries 3", "schedule: {{retries: 3}}",
        "a job whose machine fails runs again",
    ),
    Word(("-D", "--chdir"), "-w {}", "working_dir: {}", "mount it with -v or `volumes`"),
    Word(("--export",), "-e NAME=VALUE", "environment: {{NAME: VALUE}}", "nothing is passed on"),
    Word(("--exclusive",), "--gpus full", "gpus: full", "a whole GPU; a slice is always the job's"),
    Word(("--container-image",), "IMAGE", "image: {}"),
    Word(("--container-mounts",), "-v SOURCE:TARGET", 'volumes: ["{}"]'),
    Word(("--container-workdir",), "-w {}", "working_dir: {}"),
    Word(("--wrap",), "IMAGE sh -c '...'", 'command: ["sh", "-c", "..."]'),
    Word(("--uid",), why="a job runs as its owner"),
    Word(("-o", "--output", "-e", "--error", "--open-mode"), why=_LOG),
    Word(
        ("--mail-type", "--mail-user"),
        "--notify mail",
        "notify: mail",
        "`launch explain notify` says to whom and when",
    ),
    Word(
        ("-p", "--partition", "-A", "--account", "-q", "--qos", "-C", "--constraint", "-w",
         "--nodelist", "-x", "--exclude", "--reservation", "-M", "--clusters"),
        why=_NO_PLACES,
    ),
    Word(
        ("-N", "--nodes", "-n", "--ntasks", "--ntasks-per-node", "--ntasks-per-socket",
         "--ntasks-per-gpu", "-B", "--cores-per-socket", "--distribution", "--hint"),
        why=_ONE_MACHINE,
    ),
    Word(("--no-requeue",), why="a job runs once unless its machine fails or it has `retries`"),
    Word(("--comment", "--wckey", "--parsable", "--get-user-env", "--tmp", "--licenses", "-L",
          "--threads-per-core", "--gpu-bind", "--cpu-bind", "--mem-bind", "--switches",
          "--wait-all-nodes", "--spread-job", "--contiguous", "--no-kill", "--propagate"),
         why="it has no meaning here"),
    Word(("--test-only",), why="`launch submit --dry-run FILE` checks a job file"),
)  # fmt: skip
"""sbatch(1)'s options."""
BY_NAME = {name: word for word in WORDS for name in word.names}
_GRES = re.compile(r"gpu(?::(?P<kind>[\w.+-]+?))?(?::(?P<count>\d+))?", re.ASCII)


def instead_of(name: str) -> str | None:
    """Return what to write for an option of sbatch on the command line, None if it is unknown."""
    word = BY_NAME.get(name)
    if word is None:
        return None
    more = f" ({word.why})" if word.why else ""
    if word.flag is None:
        return f"{name} is Slurm's: leave it out, {word.why}"
    return f"{name} is Slurm's: write {word.flag.format('VALUE')}{more}"


def key_for(name: str, value: str) -> str:
    """Return what to write for an option of sbatch in a job file."""
    word = BY_NAME.get(name)
    if word is None:
        return "not known here: leave it out"
    if word.key is None:
        return f"leave it out: {word.why}"
    if name in ("--gres", "-G", "--gpus", "--gpus-per-node", "--gpus-per-task"):
        return _gpus(value, word)
    if name == "--mem" and value.strip() in ("", "0"):
        return "leave it out: the memory that goes with the slice is the job's"
    text = _VALUES[word.names[0]](value) if word.names[0] in _VALUES else value
    more = f" ({word.why})" if word.why else ""
    return f"{word.key.format(text)}{more}"


def _gpus(value: str, word: Word) -> str:
    """Return the `gpus` of ``gpu:1``, ``gpu:1g.10gb:1``, ``gpu:a100:2`` or ``2``."""
    match = _GRES.fullmatch(value if value.startswith("gpu") else f"gpu:{value}")
    kind = (match["kind"] or "") if match else ""
    count = (match["count"] or "1") if match else "1"
    if kind.isdecimal():
        kind, count = "", kind
    times = "" if count == "1" else f":{count}"
    if PROFILE.fullmatch(kind.lower()):
        return f"gpus: {kind.lower()}{times}"
    return f"gpus: 1g.6gb{times} ({word.why})"


def _name(value: str) -> str:
    """Return a name without the characters that jobs' names cannot have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", value).strip(".-")[:63] or "job"


def _size(value: str) -> str:
    """Return a size with a unit: Slurm counts in MiB where there is none."""
    return f"{value}m" if value.isdecimal() else value.lower()


def _time(value: str) -> str:
    """Return a time limit: Slurm's ``60`` are minutes, ``4:00`` are minutes and seconds."""
    days, dash, rest = value.rpartition("-")
    parts = rest.split(":")
    if not all(part.isdecimal() for part in (*parts, days or "0")) or len(parts) > 3:
        return "4h"
    numbers = [int(part) for part in parts]
    if dash or len(numbers) == 3:
        hours, minutes, seconds = (*numbers, 0, 0)[:3]
    else:
        hours, minutes, seconds = 0, *(*numbers, 0)[:2]
    total = (int(days or 0) * 24 + hours) * 3600 + minutes * 60 + seconds
    return "".join(
        f"{count}{unit}"
        for count, unit in ((total // 3600, "h"), (total // 60 % 60, "m"), (total % 60, "s"))
        if count
    )


def _signal(value: str) -> str:
    """Return a signal and the time before the limit of ``B:USR1@120``: 60 s if not said."""
    name, _, seconds = value.rpartition(":")[2].partition("@")
    if name.isdecimal():
        from signal import Signals

        known = {number.value: number.name for number in Signals}
        name = known.get(int(name[:4]), "SIGUSR1")
    name = name.upper() if name.upper().startswith("SIG") else f"SIG{name.upper()}"
    return f"{name}@{seconds if seconds.isdecimal() else 60}s"


def _dependency(value: str) -> str:
    """Return the keys for a dependency, as far as its jobs are named by ids."""
    try:
        waits = parse_dependency(value)
    except ValueError:
        return "depends_on: {JOB: {condition: afterok}}"
    jobs = ", ".join(f'"{job}": {{condition: {how}}}' for job, how in waits.depends_on.items())
    keys = [f"depends_on: {{{jobs}}}"] if jobs else []
    return ", ".join([*keys, *["schedule: {singleton: true}"] * waits.singleton])


_VALUES: dict[str, Callable[[str], str]] = {
    "-J": _name, "-t": _time, "--mem": _size, "--signal": _signal, "-d": _dependency,
}  # fmt: skip
"""What makes the value of an option, by its first name, one of a job file."""
