"""The keys of a service that become other keys of a job, or are judged by what they hold."""

from __future__ import annotations

import platform as machine
from collections.abc import Callable, Iterator

from launcher.jobfile.compose import dependencies, resources
from launcher.jobfile.compose.project import Entry, Project, cannot, renamed
from launcher.jobfile.values.nodes import Items, Mapping, Node, Scalar
from launcher.jobfile.values.scalars import each, entries, items, string

_WRITABLE = ("/tmp", "/dev/shm")
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_HIDDEN_SECRETS = "a secret has a `file` here: write what it holds into a file of your own"


def network_mode(key: Scalar, node: Node, project: Project) -> Iterator[Entry]:
    """Yield ``none``; the default is the engine's bridge."""
    mode = string(node, "`network_mode`")
    if mode == "none":
        yield renamed(key, "network_mode", node)
    elif mode not in ("default", "bridge"):
        why = "a job has a network of its own" if mode == "host" else "jobs share no network"
        raise cannot(key, f"{why}: leave it out, or write none", name=f"network_mode: {mode[:40]}")


def platform(key: Scalar, node: Node, project: Project) -> Iterator[Entry]:
    """Refuse a platform that is not this machine's."""
    here = f"linux/{_MACHINES.get(machine.machine(), machine.machine())}"
    wanted = string(node, "`platform`")
    if "/".join(wanted.split("/")[:2]) not in (here, "linux", here.partition("/")[2]):
        raise cannot(key, f"this machine is {here}", name=f"platform: {wanted[:40]}")
    yield from ()


def ipc(key: Scalar, node: Node, project: Project) -> Iterator[Entry]:
    """Ignore the host's IPC namespace: people want its /dev/shm, and a job's is large enough."""
    mode = string(node, "`ipc`")
    if mode not in ("host", "private", "shareable"):
        why = "a job has a /dev/shm of its own: leave it out; `shm_size` says how large it is"
        raise cannot(key, why, name=f"ipc: {mode[:40]}")
    if mode == "host":
        project.ignore("ipc")
    yield from ()


def tmpfs(key: Scalar, node: Node, project: Project) -> Iterator[Entry]:
    """Ignore a file system in memory where a job has one, or can write anyway."""
    for item in node.items if isinstance(node, Items) else (node,):
        _in_memory(key, string(item, "`tmpfs`").partition(":")[0], project)
    yield from ()


def volumes(key: Scalar, node: Node, project: Project) -> Iterator[Entry]:
    """Yield the mounts of directories."""
    mounts = tuple(item for item in items(node, "`volumes`") if not _is_memory(item, project))
    if mounts:
        yield renamed(key, "volumes", Items(*node.where(), mounts))


def _is_memory(node: Node, project: Project) -> bool:
    if not isinstance(node, Mapping):
        return False
    found = {key.text: value for key, value in node.entries}
    kind, target = found.get("type"), found.get("target")
    if not (isinstance(kind, Scalar) and kind.text == "tmpfs" and target is not None):
        return False
    _in_memory(kind, string(target, "`target`"), project, name="a volume of the type tmpfs")
    return True


def _in_memory(key: Scalar, target: str, project: Project, *, name: str | None = None) -> None:
    if target.rstrip("/") not in _WRITABLE:
        why = f"it has {' and '.join(_WRITABLE)} to write to, and its mounts, not '{target[:80]}'"
        raise cannot(key, why, name=name)
    project.ignore("tmpfs")


def secrets(key: Scalar, node: Node, project: Project) -> Iterator[Entry]:
    """Yield the files of secrets by the names that the job finds them under."""
    found = each(items(node, "`secrets`"), lambda item: _secret(item, project))
    if found:
        yield renamed(key, "secrets", Mapping(*node.where(), tuple(found)))


def _secret(node: Node, project: Project) -> Entry:
    """Return (the name in the job, the file) of one secret, named or in the long form."""
    source, target = node, node
    if isinstance(node, Mapping):
        keys = {key.text: value for key, value in node.entries}
        if "source" not in keys:
            raise node.error("a secret needs a `source`")
        source, target = keys["source"], keys.get("target", keys["source"])
    name = string(source, "a secret")
    if name not in project.secrets:
        raise source.error(f"the secret '{name[:80]}' is not under the file's `secrets`")
    for key, value in entries(project.secrets[name], f"the secret `{name[:80]}`"):
        if key.text == "file":
            text = string(target, "`target`").removeprefix("/run/secrets/")
            return Scalar(*target.where(), text, text), value
        if key.text != "name":
            raise cannot(key, _HIDDEN_SECRETS, name=f"secrets: {key.text[:40]}")
    raise project.secrets[name].error(f"the secret `{name[:80]}` has no `file`")


def runtime(key: Scalar, node: Node, project: Project) -> Iterator[Entry]:
    """Ignore the runtimes that a job has anyway."""
    name = string(node, "`runtime`")
    if name not in ("nvidia", "runc", "io.containerd.runc.v2"):
        why = "the launcher chooses the runtime: leave it out"
        raise cannot(key, why, name=f"runtime: {name[:40]}")
    project.ignore("runtime")
    yield from ()


CHANGED: dict[str, Callable[[Scalar, Node, Project], Iterator[Entry]]] = {
    "depends_on": dependencies.depends_on,
    "deploy": resources.deploy,
    "ipc": ipc,
    "network_mode": network_mode,
    "platform": platform,
    "runtime": runtime,
    "secrets": secrets,
    "tmpfs": tmpfs,
    "volumes": volumes,
}
