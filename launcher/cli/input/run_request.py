"""The flags of ``launch run`` -> the request of one job."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from launcher.cli.input.common import elsewhere
from launcher.cli.output import terminal
from launcher.jobfile.values import environment, gpu_spec, units, volumes
from launcher.jobfile.values import names as words
from launcher.spec.gpus import GpuRequest
from launcher.spec.job_names import default_name
from launcher.spec.job_spec import JobSpec, Mount
from launcher.spec.plain_fields import PLAIN_FIELDS

if TYPE_CHECKING:
    from launcher.jobfile.values.waiting import Waits
    from launcher.spec.job_spec import Retries, SignalBefore
    from launcher.spec.notify import NotifyTarget

T = TypeVar("T")


def build(flags: Mapping[str, Any]) -> JobSpec:
    """Return the job these flags ask for."""
    image, command, gpus = flags["image"], list(flags["words"]), gpus_of(flags)
    optional = {**_resources(flags), **_schedule(flags, gpus)}
    return JobSpec(
        name=flags["name"] or default_name(image),
        image=image,
        command=tuple(command) or None,
        gpus=gpus,
        environment=variables_of(flags["env"], flags["env_file"]),
        volumes=tuple(_volumes(flags["volume"], flags["home"])),
        ulimits=dict(flags["ulimit"]),
        secrets=_secrets(flags["secret"]),
        **{name: value for name, value in optional.items() if value is not None},
    )


def build_host(flags: Mapping[str, Any]) -> JobSpec:
    """Return the host job that these flags ask for; in the background it runs in this directory."""
    command, detach = list(flags["words"]), flags["detach"]
    gpus = gpus_of(flags)
    optional = {
        "working_dir": _directory() if detach else None,
        "tty": (detach and flags["tty"]) or None,
        "stdin_open": (detach and flags["tty"]) or None,
        **_schedule(flags, gpus),
        "mem_limit": flags["memory"],
        "cpus": flags["cpus"],
        "stop_grace_period": _stop_grace(flags),
    }
    return JobSpec(
        name=flags["name"] or words.name_of_program(command[0]),
        image="",
        command=tuple(command),
        gpus=gpus,
        environment=variables_of(flags["env"], flags["env_file"]),
        runtime="host",
        foreground=not detach,
        **{name: value for name, value in optional.items() if value is not None},
    )


def _directory() -> str | None:
    """Return this directory; None, which is the user's home, if the job runs elsewhere."""
    return None if elsewhere() else os.getcwd()  # noqa: PTH109


def _resources(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields for the container, None for what was not said."""
    entrypoint = flags["entrypoint"]
    return {
        "working_dir": flags["workdir"],
        "ports": tuple(flags["ports"]) or None,
        "loopback": flags["loopback"] or None,
        "tty": flags["tty"] or None,
        "stdin_open": flags["interactive"] or None,
        "shm_size": flags["shm_size"],
        "tmp": flags["tmp"],
        "mem_limit": flags["memory"],
        "cpus": flags["cpus"],
        "user": flags["user"],
        **{each.name: flags[each.name] for each in PLAIN_FIELDS},
        "network_mode": flags["network"],
        "policy_profile": flags["policy_profile"],
        "pull_policy": flags["pull"],
        "stop_grace_period": _stop_grace(flags),
        "entrypoint": None if entrypoint is None else (entrypoint,),
    }


def _schedule(flags: Mapping[str, Any], gpus: GpuRequest) -> dict[str, Any]:
    """Return the fields for the queue, None for what was not said."""
    return {
        "priority": flags["priority"],
        "time_limit": flags["time_limit"],
        "begin": flags["begin"],
        **_waits(flags["dependency"]),
        "hold": flags["hold"] or None,
        "array": flags["array"],
        "retries": _retries(flags),
        "signal": _signal(flags),
        "idle_timeout": _idle_timeout(flags["idle_timeout"], gpus),
        "preemptible": flags["preemptible"] or None,
        "notify": notified(flags["notify"]),
    }


def notified(flags: Sequence[NotifyTarget | None]) -> tuple[NotifyTarget, ...] | None:
    """Return the targets of --notify; None if it was not given, none if it is ``none`` alone."""
    if not flags:
        return None
    targets = tuple(target for target in flags if target is not None)
    from launcher.spec.notify import check_targets

    _checked("--notify", lambda: check_targets(targets))
    return targets


def _waits(waits: Waits | None) -> dict[str, Any]:
    if waits is None:
        return {}
    return {
        "depends_on": waits.depends_on or None,
        "depends_any": waits.depends_any or None,
        "singleton": waits.singleton or None,
    }


def _retries(flags: Mapping[str, Any]) -> Retries | None:
    if flags["retries"] is None:
        for flag in ("retry_on", "retry_backoff"):
            if flags[flag] is not None:
                name = f"--{flag.replace('_', '-')}"
                raise click.UsageError(f"{name} goes with --retries: add --retries N.", _context())
        return None
    from launcher.jobfile.values.retry_spec import retry_request

    return retry_request(flags["retries"], flags["retry_on"], flags["retry_backoff"])


def _signal(flags: Mapping[str, Any]) -> SignalBefore | None:
    signal: SignalBefore | None = flags["signal"]
    if signal is None:
        return None
    from launcher.jobfile.values.signals import check_time

    _checked("--signal", lambda: check_time(signal, flags["time_limit"]))
    return signal


def _idle_timeout(seconds: float | None, gpus: GpuRequest) -> float | None:
    if seconds is not None:
        _checked("--idle-timeout", lambda: gpu_spec.check_has_gpus(gpus))
    return seconds


def gpus_of(flags: Mapping[str, Any]) -> GpuRequest:
    """Return the slices that the flags ask for."""
    profile, memory, spec = flags["profile"], flags["gpu_memory"], flags["gpus"]
    asked = {"--profile": profile, "--gpu-memory": memory, "--gpus": spec}
    given = [flag for flag, value in asked.items() if value is not None]
    if len(given) > 1:
        raise click.UsageError(f"{given[0]} and {given[1]} cannot be used together.", _context())
    count = flags["count"]
    if count is not None and (spec is not None or not given):
        raise click.UsageError(
            "--count goes with --profile or --gpu-memory (in --gpus write SPEC:N).", _context()
        )
    slices = _slices(profile, memory, spec, count)
    return replace(slices, capabilities=flags.get("gpu_capabilities") or slices.capabilities)


def _slices(
    profile: str | None, memory: str | None, spec: GpuRequest | None, count: int | None
) -> GpuRequest:
    if profile is not None:
        return _flag(
            "--profile", lambda text: gpu_spec.parse_profile(text, count=count or 1), profile
        )
    if memory is not None:
        return _flag(
            "--gpu-memory", lambda text: gpu_spec.parse_memory(text, count=count or 1), memory
        )
    return spec or GpuRequest()


def variables_of(pairs: Sequence[str], files: Sequence[str]) -> dict[str, str]:
    """Return the variables of --env and --env-file."""
    result: dict[str, str] = {}
    for name in files:
        _add_env_file(name, result)
    for word in pairs:
        assigned = _flag("--env", lambda text: environment.parse_assignment(text, os.environ), word)
        if assigned:
            result[assigned[0]] = assigned[1]
    return result


def _add_env_file(name: str, result: dict[str, str]) -> None:
    from pathlib import Path

    from launcher.jobfile.variables import env_files
    from launcher.jobfile.variables.dotenv import EnvFileError

    try:
        for line, unset in env_files.read_env_file(Path(name), os.environ, result):
            terminal.complain(env_files.unset_notice(name, line, unset))
    except EnvFileError as error:
        raise click.BadParameter(f"{name}:{error.line}: {error}", _context()) from error
    except ValueError as error:
        raise click.BadParameter(str(error), _context(), param_hint="--env-file") from error


def _volumes(texts: Sequence[str], home: str | None) -> list[Mount]:
    if home == "real":
        return [*_mounts(texts), _checked("--home", volumes.real_home)]
    return _mounts(texts)


def _mounts(texts: Sequence[str]) -> list[Mount]:
    if not texts:
        return []
    from pathlib import Path

    base = Path.cwd()
    mounts = [
        _flag("--volume", lambda text: volumes.parse_volume(text, base), each) for each in texts
    ]
    _checked("--volume", lambda: volumes.check_targets(mounts))
    return mounts


def _secrets(words: Sequence[str]) -> dict[str, str | None]:
    if not words:
        return {}
    from launcher.jobfile.values.secret_files import check_count, parse_secret

    result: dict[str, str | None] = {}
    for word in words:
        name, content = _flag("--secret", parse_secret, word)
        if name in result:
            raise click.BadParameter(f"{name} is there twice", _context(), param_hint="--secret")
        result[name] = content
    _checked("--secret", lambda: check_count(result))
    return result


def _stop_grace(flags: Mapping[str, Any]) -> float | None:
    text = flags["stop_timeout"]
    return None if text is None else _flag("--stop-timeout", _grace, text)


def _grace(text: str) -> float:
    """Docker's flag takes plain seconds; a time with a unit is as good."""
    return float(text) if text.isdecimal() and len(text) < 8 else units.parse_duration(text)


def _flag(flag: str, parse: Callable[[str], T], text: str) -> T:
    return _checked(flag, lambda: parse(text))


def _checked(flag: str, check: Callable[[], T]) -> T:
    try:
        return check()
    except ValueError as error:
        raise click.BadParameter(str(error), _context(), param_hint=flag) from error


def _context() -> click.Context | None:
    return click.get_current_context(silent=True)
