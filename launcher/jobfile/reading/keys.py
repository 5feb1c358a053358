"""The keys of a job: how each is read, and how the JSON Schema describes it. One table.

A key's reader takes the node and the job's surroundings (``Around``) and returns the value of the
``JobSpec`` field; ``together`` makes one field of those that belong together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launcher.errors import JobFileError
from launcher.interpolation import template
from launcher.jobfile.compose.service import GPU_VARIABLES
from launcher.jobfile.compose.services import Picked
from launcher.jobfile.reading.matrix import read_matrix
from launcher.jobfile.reading.notify import read_notify
from launcher.jobfile.values import (
    array_spec,
    environment,
    names,
    secret_files,
    units,
    volumes,
)
from launcher.jobfile.values.dependencies import read_depends_on
from launcher.jobfile.values.gpus import read_gpus
from launcher.jobfile.values.nodes import Items, Mapping, Node, Scalar
from launcher.jobfile.values.scalars import boolean, each, entries, items, parsed, string, unknown
from launcher.jobfile.values.schedule import read_retries, read_signal
from launcher.jobfile.values.waiting import parse_begin
from launcher.jobfile.variables import env_files
from launcher.jobfile.variables.dotenv import EnvFileError
from launcher.jobfile.variables.notices import Notices
from launcher.spec.command_line import split_command
from launcher.spec.job_spec import Mount, Ulimit
from launcher.spec.plain_fields import PLAIN_FIELDS


@dataclass(frozen=True)
class Around:
    """Where a job file is read: the directory its paths are relative to, the client's variables.

    ``matrix`` has the combinations of the job that is read: None if it has no matrix, none where
    its matrix is wrong. ``environment`` has the job's variables, which its env files may name.
    ``notices`` takes what to tell the caller of a file that is valid. ``picked`` names services of
    Compose files.
    """

    base: Path
    client: MappingType[str, str]
    matrix: list[dict[str, str]] | None = None
    environment: MappingType[str, str] = field(default_factory=dict)
    notices: Notices = field(default_factory=Notices)
    picked: Picked = field(default_factory=Picked)
    compose: bool = False
    """Whether the file is Compose's: its variables have been replaced."""

    def keys(self) -> set[str]:
        """Return the keys of the job's matrix."""
        return {key for combination in self.matrix or () for key in combination}

    def renderings(self, text: str) -> Iterable[str]:
        """Return what a string becomes in the combinations of the job's matrix, each once."""
        if not self.matrix:
            return (text,) if self.matrix is None or "${" not in text else ()
        result = template(text, self.keys())
        return (text,) if result is None else {result.render(each) for each in self.matrix}


Read = Callable[[Node, Around], Any]
HOST = "host"
"""The runtime of a command on the machine itself."""


def read_command(node: Node, label: str) -> tuple[str, ...]:
    """Return a command's words; text is split as a shell would."""
    if isinstance(node, Items):
        result = [string(item, f"a word of {label}") for item in node.items]
    else:
        result = parsed(node, label, split_command)
    if not result:
        raise node.error(f"{label} is empty: leave it out to run the image's own")
    return tuple(result)


def read_entrypoint(node: Node, around: Around) -> tuple[str, ...]:
    """Return the entrypoint; an empty one takes the image's away."""
    if (isinstance(node, Items) and not node.items) or (
        isinstance(node, Scalar) and node.value == ""
    ):
        return ("",)
    return read_command(node, "`entrypoint`")


def read_environment(node: Node, around: Around) -> dict[str, str]:
    """Return variables from a mapping or a list of ``KEY=VALUE``."""

    def assigned(node: Node) -> tuple[str, str] | None:
        return parsed(
            node, "a variable", lambda text: environment.parse_assignment(text, around.client)
        )

    def valued(entry: tuple[Scalar, Node]) -> tuple[str, str] | None:
        key, value = entry
        name = parsed(key, "a variable", environment.check_variable)
        if isinstance(value, Scalar) and value.value is None:
            return assigned(key)
        return name, string(value, f"the value of {name}")

    if isinstance(node, Items):
        return dict(filter(None, each(node.items, assigned)))
    return dict(filter(None, each(entries(node, "`environment`"), valued)))


def read_env_files(node: Node, around: Around) -> dict[str, str]:
    """Return the variables of one env file or several; a later one wins."""
    result: dict[str, str] = {}
    for item in items(node, "`env_file`") if isinstance(node, Items) else (node,):
        _add_env_file(item, around, result)
    return result


def _add_env_file(node: Node, around: Around, result: dict[str, str]) -> None:
    place, required, raw = _env_file(node)
    path = around.base / string(place, "`env_file`")
    variables = {**around.environment, **around.client}
    try:
        if not required and not path.exists():
            return
        ignored = GPU_VARIABLES if around.compose else ()
        for line, name in env_files.read_env_file(
            path, variables, result, raw=raw, ignored=ignored
        ):
            around.notices.add(env_files.unset_notice(str(path), line, name))
    except EnvFileError as error:
        raise JobFileError(str(error), file=str(path), line=error.line, column=1) from error
    except ValueError as error:
        raise place.error(str(error)) from error


def _env_file(node: Node) -> tuple[Node, bool, bool]:
    """Return the path of an env file, whether it must exist, and whether it is read raw."""
    if isinstance(node, Scalar):
        return node, True, False
    keys = {key.text: (key, value) for key, value in entries(node, "an entry of `env_file`")}
    known = ("path", "required", "format")
    for key, _ in keys.values():
        if key.text not in known:
            raise unknown(key, known, "an entry of `env_file`")
    if "path" not in keys:
        raise node.error("an entry of `env_file` needs a `path`")
    required = boolean(keys["required"][1], "`required`") if "required" in keys else True
    how = string(keys["format"][1], "`format`") if "format" in keys else ""
    if how not in ("", "raw"):
        raise keys["format"][1].error(f"`format`: '{how[:40]}' is not known: write raw")
    return keys["path"][1], required, how == "raw"


def read_volumes(node: Node, around: Around) -> tuple[Mount, ...]:
    """Return bind mounts, in Compose's short or long form."""
    mounts: dict[str, Mount] = {}

    def read(item: Node) -> None:
        if isinstance(item, Scalar):
            mount = parsed(item, "a volume", lambda text: volumes.parse_volume(text, around.base))
        else:
            mount = _long_volume(item, around)
        if mounts.setdefault(volumes.target_of(mount), mount) is not mount:
            raise item.error(f"two mounts have the target {mount.target}")

    each(items(node, "`volumes`"), read)
    return tuple(mounts.values())


def _long_volume(node: Node, around: Around) -> Mount:
    keys = {key.text: (key, value) for key, value in entries(node, "a volume")}
    known = ("type", "source", "target", "read_only", "bind", "consistency")
    for key, _ in keys.values():
        if key.text not in known:
            raise unknown(key, known, "a volume")
    kind = string(keys["type"][1], "`type`") if "type" in keys else "bind"
    if kind == "volume":
        raise node.error(
            "only directories of this machine can be mounted, no volumes of Docker's: make one,"
            " and write `type: bind` with its path as `source`"
        )
    if kind != "bind":
        raise keys["type"][1].error(f"the volume type '{kind[:40]}' is not known here: write bind")
    if "bind" in keys:
        _check_bind(keys["bind"][1])
    for name in ("source", "target"):
        if name not in keys:
            raise node.error(f"a volume needs a `{name}`")
    read_only = boolean(keys["read_only"][1], "`read_only`") if "read_only" in keys else False
    source, target = (string(keys[name][1], f"`{name}`") for name in ("source", "target"))
    try:
        return volumes.bind(source, target, around.base, read_only=read_only)
    except ValueError as error:
        raise node.error(str(error)) from error


def _check_bind(node: Node) -> None:
    """Refuse what a mount cannot have; what has no meaning here passes."""
    for key, value in entries(node, "`bind`"):
        if key.text not in ("create_host_path", "selinux", "propagation"):
            raise unknown(key, ("create_host_path", "selinux", "propagation"), "`bind`")
        if key.text == "propagation" and string(value, "`propagation`") != "rprivate":
            raise key.error("a job's mounts are private: leave `propagation` out")


def read_secrets(node: Node, around: Around) -> dict[str, str | None]:
    """Return what is in the files of a mapping ``NAME: FILE``, in base64, by name."""
    result: dict[str, str | None] = {}
    for key, value in entries(node, "`secrets`"):
        name = parsed(key, "`secrets`", secret_files.check_name)
        path = string(value, f"the file of the secret {name}")
        try:
            result[name] = secret_files.read_secret(path, str(around.base))
            secret_files.check_count(result)
        except ValueError as error:
            raise value.error(str(error)) from error
    return result


def read_ulimits(node: Node, around: Around) -> dict[str, Ulimit]:
    """Return the limits of a mapping ``NAME: N`` or ``NAME: {soft: N, hard: N}``."""
    result: dict[str, Ulimit] = {}
    for key, value in entries(node, "`ulimits`"):
        name = parsed(key, "`ulimits`", units.check_ulimit)
        numbers = {"soft": value, "hard": value}
        if isinstance(value, Mapping):
            numbers = {each.text: inner for each, inner in value.entries}
            if numbers.keys() != {"soft", "hard"}:
                raise value.error(f"the limit {name} needs `soft` and `hard`")
        soft, hard = (
            parsed(numbers[each], f"`{name}`", units.ulimit_number) for each in ("soft", "hard")
        )
        try:
            result[name] = units.ulimit(soft, hard)
        except ValueError as error:
            raise value.error(f"`{name}`: {error}") from error
    return result


def read_ports(node: Node) -> tuple[int, ...]:
    """Return the container's ports, of one or of several."""
    nodes = items(node, "`ports`") if isinstance(node, Items) else (node,)
    return tuple(parsed(each, "a port", units.parse_port) for each in nodes)


def read_tmp(node: Node, around: Around) -> str:
    """Return disk or memory."""
    text = string(node, "`tmp`")
    if text not in ("disk", "memory"):
        raise node.error(f"`tmp`: '{text[:40]}' is not known: write disk or memory")
    return text


def read_pull_policy(node: Node, around: Around) -> str:
    """Return always, missing or never."""
    text = string(node, "`pull_policy`")
    policy = "missing" if text == "if_not_present" else text
    if policy not in ("always", "missing", "never"):
        raise node.error(
            f"`pull_policy`: '{text[:40]}' is not known: write always, missing or never"
        )
    return policy


def read_runtime(node: Node, around: Around) -> str:
    """Return ``host``: the only runtime that a job may name."""
    text = string(node, "`runtime`")
    if text != HOST:
        raise node.error(
            f"`runtime`: '{text[:40]}' is not known: the launcher chooses a container's runtime,"
            " and `host` is a command without a container"
        )
    return text


def _by(label: str, parse: Callable[[str], Any]) -> Read:
    return lambda node, around: parsed(node, f"`{label}`", parse)


def _by_rendering(label: str, check: Callable[[str], str]) -> Read:
    """Return a reader that checks what a string becomes, and returns it as it stands."""

    def read(node: Node, around: Around) -> str:
        text = string(node, f"`{label}`")
        for rendering in around.renderings(text):
            try:
                check(rendering)
            except ValueError as error:
                raise node.error(f"`{label}`: {error}") from error
        return text

    return read


def _limit(text: str) -> float:
    seconds = units.parse_duration(text)
    if seconds <= 0:
        raise ValueError("a limit of nothing: leave it out for no limit")
    return seconds


def _shm_size(text: str) -> int:
    size = units.parse_size(text)
    if size <= 0:
        raise ValueError("it must be more than nothing")
    return size


JOB: dict[str, tuple[str, Read]] = {
    "name": ("name", _by("name", names.check_name)),
    "image": ("image", _by_rendering("image", names.check_image)),
    "runtime": ("runtime", read_runtime),
    "command": ("command", lambda node, around: read_command(node, "`command`")),
    "entrypoint": ("entrypoint", read_entrypoint),
    "gpus": ("gpus", lambda node, around: read_gpus(node)),
    "environment": ("environment", read_environment),
    "env_file": ("env_file", read_env_files),
    "working_dir": (
        "working_dir",
        _by_rendering("working_dir", names.check_container_path),
    ),
    "volumes": ("volumes", read_volumes),
    "secrets": ("secrets", read_secrets),
    "home": ("home", _by("home", volumes.parse_home)),
    "tmp": ("tmp", read_tmp),
    "ulimits": ("ulimits", read_ulimits),
    "shm_size": ("shm_size", _by("shm_size", _shm_size)),
    "mem_limit": ("mem_limit", _by("mem_limit", _shm_size)),
    "cpus": ("cpus", _by("cpus", units.parse_cpus)),
    "user": ("user", _by("user", names.check_user)),
    "network_mode": ("network_mode", _by("network_mode", names.check_network)),
    "profile": ("policy_profile", _by("profile", names.check_profile)),
    **{each.name: (each.name, _by(each.name, each.check)) for each in PLAIN_FIELDS},
    "ports": ("ports", lambda node, around: read_ports(node)),
    "loopback": ("loopback", lambda node, around: boolean(node, "`loopback`")),
    "tty": ("tty", lambda node, around: boolean(node, "`tty`")),
    "stdin_open": ("stdin_open", lambda node, around: boolean(node, "`stdin_open`")),
    "stop_grace_period": (
        "stop_grace_period",
        _by("stop_grace_period", units.parse_duration),
    ),
    "depends_on": ("depends_on", lambda node, around: read_depends_on(node)),
    "pull_policy": ("pull_policy", read_pull_policy),
    "notify": ("notify", lambda node, around: read_notify(node)),
    "array": ("array", _by("array", array_spec.parse_array)),
    "matrix": ("matrix", lambda node, around: read_matrix(node)),
    "max_parallel": ("max_parallel", _by("max_parallel", array_spec.parse_max_parallel)),
}
"""Key of a job -> (field, reader); ``schedule`` is a mapping of its own and stands beside it."""

SCHEDULE: dict[str, tuple[str, Read]] = {
    "priority": ("priority", _by("priority", units.parse_priority)),
    "time_limit": ("time_limit", _by("time_limit", _limit)),
    "begin": ("begin", _by("begin", parse_begin)),
    "hold": ("hold", lambda node, around: boolean(node, "`hold`")),
    "depends_any": ("depends_any", lambda node, around: boolean(node, "`depends_any`")),
    "singleton": ("singleton", lambda node, around: boolean(node, "`singleton`")),
    "retries": ("retries", lambda node, around: read_retries(node)),
    "signal": ("signal", lambda node, around: read_signal(node)),
    "idle_timeout": ("idle_timeout", _by("idle_timeout", _limit)),
    "preemptible": ("preemptible", lambda node, around: boolean(node, "`preemptible`")),
}

NEVER = {
    "build": "build the image first, then name it under `image`",
    "cap_add": "jobs run without extra capabilities",
    "container_name": "the launcher names containers; `name` names the job",
    "deploy": "ask for GPUs with `gpus`, for memory with `mem_limit`, for cores with `cpus`",
    "device_requests": "ask for GPUs with `gpus`",
    "devices": "ask for GPUs with `gpus`",
    "init": "every job runs under an init already",
    "networks": "a job gets the launcher's own network; `network_mode: none` gives it none",
    "privileged": "a job that saw every GPU would break everybody's isolation",
    "restart": "`retries` under `schedule` says when a job runs again",
    "security_opt": "the launcher sets the security options",
}
"""Compose's keys that a job has not, and what to do instead."""
