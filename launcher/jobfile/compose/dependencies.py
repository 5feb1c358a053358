"""``depends_on`` of a service -> ``depends_on`` of a job.

A service waits until another one has started, a job until another one has ended. Only services that
are submitted together wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterator

from launcher.jobfile.compose.project import Entry, Project, renamed
from launcher.jobfile.values.nodes import Items, Mapping, Node, Scalar
from launcher.jobfile.values.scalars import boolean, entries, string, unknown

_STARTED = "service_started"
_COMPLETED = "service_completed_successfully"
_KNOWN = ("condition", "required", "restart")


def depends_on(key: Scalar, node: Node, project: Project) -> Iterator[Entry]:
    """Yield ``depends_on`` of the services that are submitted with this one."""
    found = _short(node) if isinstance(node, Items) else _long(node)
    wanted: list[Entry] = []
    for name, condition, required in found:
        if name.text not in project.services and required:
            raise unknown(name, project.services, "`services`")
        if name.text not in project.taken:
            project.notices.add(
                f"{name.place()}: `{name.text}` is not submitted, and so it is not waited for"
            )
            continue
        started = condition is None or _says(condition, _STARTED)
        if started:
            project.notices.add(
                f"{name.place()}: the job waits until `{name.text}` has completed,"
                " not only until it has started"
            )
        wanted.append((name, _condition(name, None if started else condition)))
    if wanted:
        yield renamed(key, "depends_on", Mapping(*key.where(), tuple(wanted)))


def _short(node: Items) -> Iterator[tuple[Scalar, Node | None, bool]]:
    for item in node.items:
        text = string(item, "a service of `depends_on`")
        yield Scalar(*item.where(), text, text), None, True


def _long(node: Node) -> Iterator[tuple[Scalar, Node | None, bool]]:
    for name, value in entries(node, "`depends_on`"):
        keys = {key.text: (key, value) for key, value in entries(value, "a dependency")}
        for key, _ in keys.values():
            if key.text not in _KNOWN:
                raise unknown(key, _KNOWN, "a dependency")
        required = boolean(keys["required"][1], "`required`") if "required" in keys else True
        yield name, keys["condition"][1] if "condition" in keys else None, required


def _says(node: Node, text: str) -> bool:
    return isinstance(node, Scalar) and node.text == text


def _condition(name: Scalar, condition: Node | None) -> Mapping:
    where = name.where()
    key = Scalar(*where, "condition", "condition")
    return Mapping(*where, ((key, condition or Scalar(*where, _COMPLETED, _COMPLETED)),))
