"""A container's create body as the words of ``docker run``.

Made from the body itself, so that a field which the daemon sends cannot be forgotten. Left out is
what only the daemon can have: its labels, by which it would take the container for its own, and
the log driver that it reads.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from launcher.core.policy.own_directories import TMP
from launcher.engine.spec import ContainerSpec, create_body

Options = Iterator[str]


def docker_words(launch: ContainerSpec) -> list[str]:
    """Return ``docker``, ``run``, the options with their values, the image, and the command."""
    body = create_body(launch)
    host = body["HostConfig"]
    entrypoint = body.get("Entrypoint", [])
    options = [
        option
        for table, values in ((BODY, body), (HOST, host))
        for name, make in table.items()
        if name in values
        for option in make(values[name])
    ]
    places = own_places(launch, host["Tmpfs"])
    command = [*entrypoint[1:], *body.get("Cmd", [])]
    return ["docker", "run", "--rm", *options, *places, str(body["Image"]), *command]


def own_places(launch: ContainerSpec, tmpfs: dict[str, str]) -> list[str]:
    """Return HOME and /tmp in memory: the job's directories on disk are the daemon's."""
    own = launch.confinement.directories
    if own is None:
        return []
    uid, _, gid = (launch.confinement.user or "0:0").partition(":")
    usual = "rw,exec,nosuid,nodev"
    places = {TMP: f"{usual},mode=1777"} if own.tmp and TMP not in tmpfs else {}
    # A colon ends the path for Docker.
    if own.home and ":" not in own.home_path:
        places[posixpath.normpath(own.home_path)] = f"{usual},mode=0700,uid={uid},gid={gid}"
    return list(_tmpfs(places))


def _named(option: str) -> Callable[[Any], Options]:
    """Return a function that makes the option of a value."""

    def make(value: Any) -> Options:
        yield f"--{option}={value}"

    return make


def _each(option: str) -> Callable[[Sequence[Any]], Options]:
    """Return a function that makes an option of each value."""

    def make(values: Sequence[Any]) -> Options:
        for value in values:
            yield f"--{option}={value}"

    return make


def _is_set(option: str) -> Callable[[Any], Options]:
    def make(value: Any) -> Options:
        if value:
            yield f"--{option}"

    return make


def _entrypoint(words: Sequence[str]) -> Options:
    """The option takes one word; the others go before the command."""
    yield f"--entrypoint={words[0]}"


def _cpus(nano: int) -> Options:
    yield f"--cpus={Decimal(nano).scaleb(-9).normalize():f}"


def _ulimits(limits: Sequence[dict[str, Any]]) -> Options:
    for each in limits:
        yield f"--ulimit={each['Name']}={each['Soft']}:{each['Hard']}"


def _tmpfs(places: dict[str, str]) -> Options:
    for path, how in places.items():
        yield f"--tmpfs={path}:{how}"


def _mounts(mounts: Sequence[dict[str, Any]]) -> Options:
    for each in mounts:
        fields = ["type=bind", f"source={each['Source']}", f"target={each['Target']}"]
        yield "--mount=" + ",".join(map(_field, fields + ["readonly"] * each["ReadOnly"]))


def _gpus(requests: Sequence[dict[str, Any]]) -> Options:
    for each in requests:
        driver = [f"driver={each['Driver']}"] if each["Driver"] else []
        capabilities = [name for name in each["Capabilities"][0] if name != "gpu"]
        fields = [f"device={','.join(each['DeviceIDs'])}", f"capabilities={','.join(capabilities)}"]
        yield "--gpus=" + ",".join([*driver, *map(_quoted, fields)])


def _field(text: str) -> str:
    """Return a field of a line of CSV, which these options take."""
    return _quoted(text) if set(text) & set(',"\r\n') else text


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


BODY: dict[str, Callable[[Any], Options]] = {
    "Hostname": _named("hostname"),
    "User": _named("user"),
    "WorkingDir": _named("workdir"),
    "Entrypoint": _entrypoint,
    "Env": _each("env"),
    "Tty": _is_set("tty"),
    "OpenStdin": _is_set("interactive"),
    "Healthcheck": lambda check: _is_set("no-healthcheck")(check == {"Test": ["NONE"]}),
}
HOST: dict[str, Callable[[Any], Options]] = {
    "DeviceRequests": _gpus,
    "Runtime": _named("runtime"),
    "Init": _is_set("init"),
    "IpcMode": _named("ipc"),
    "CgroupnsMode": _named("cgroupns"),
    "NetworkMode": _named("network"),
    "GroupAdd": _each("group-add"),
    "CapDrop": _each("cap-drop"),
    "SecurityOpt": _each("security-opt"),
    "Memory": _named("memory"),
    "MemorySwap": _named("memory-swap"),
    "NanoCpus": _cpus,
    "PidsLimit": _named("pids-limit"),
    "ShmSize": _named("shm-size"),
    "Ulimits": _ulimits,
    "Mounts": _mounts,
    "Tmpfs": _tmpfs,
}
LEFT_OUT = {
    "Image", "Cmd", "HostConfig", "Labels", "AttachStdin", "StdinOnce",
    "AutoRemove", "RestartPolicy", "LogConfig",
}  # fmt: skip
"""Fields that are words of their own, the defaults of ``docker run``, or the daemon's alone."""
