"""``extends`` of a service: what it takes over from another service of the same file.

Merged as compose-go merges (its package ``override``): mappings key by key, lists one after the
other, variables by their names, mounts by their targets; everything else is replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Mapping as Values

from launcher.jobfile.compose.project import WHOLE, Entry, cannot
from launcher.jobfile.values.nodes import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_NODES,
    Items,
    Mapping,
    Node,
    Scalar,
)
from launcher.jobfile.values.scalars import entries, string, unknown

_REPLACED = ("command", "entrypoint")
_LISTS = ("env_file", "tmpfs")


class Extending:
    """The services of a file, each with what it takes over."""

    def __init__(self, services: Values[str, Entry]) -> None:
        self._services = services
        self._whole: dict[str, Node] = {}
        self._nodes, self._letters = MAX_NODES, MAX_BYTES

    def service(self, name: str) -> Node:
        """Return a service with what it takes over."""
        open_: list[str] = []
        while name not in self._whole:
            extends = _extends(self._services[name][1])
            if extends is None:
                self._whole[name] = self._services[name][1]
                break
            base = self._base(extends)
            if base in open_ or base == name:
                raise extends[0].error(f"`{base}` extends itself")
            if len(open_) >= MAX_DEPTH:
                raise extends[0].error(f"more than {MAX_DEPTH} services extend each other")
            open_.append(name)
            name = base
        for derived in reversed(open_):
            key, node = self._services[derived]
            self._charge(key, self._whole[name])
            self._whole[derived] = _merged(self._whole[name], _without_extends(node), "")
            name = derived
        return self._whole[name]

    def _base(self, extends: Entry) -> str:
        """Return the name of the service that is extended."""
        key, value = extends
        service = value
        if isinstance(value, Mapping):
            found = {inner.text: inner_value for inner, inner_value in entries(value, "`extends`")}
            if "file" in found:
                error = cannot(key, "other files are not read", name="extends: file")
                error.fix = WHOLE
                raise error
            if "service" not in found:
                raise key.error("`extends` needs a `service`")
            service = found["service"]
        name = string(service, "`extends`")
        if name not in self._services:
            at = Scalar(*service.where(), name, name)
            raise unknown(at, self._services, "`services`")
        return name

    def _charge(self, key: Scalar, node: Node) -> None:
        """Count what is taken over as if it stood in the service."""
        for each in _all_of(node):
            self._nodes -= 1
            self._letters -= len(each.text) if isinstance(each, Scalar) else 0
            if self._nodes < 0 or self._letters < 0:
                raise key.error(
                    f"with what `extends` takes over the file has more than {MAX_NODES} values"
                    f" or {MAX_BYTES // 1024} KiB"
                )


def _all_of(node: Node) -> Iterator[Node]:
    yield node
    for inner in node.items if isinstance(node, Items) else ():
        yield from _all_of(inner)
    for entry in node.entries if isinstance(node, Mapping) else ():
        for inner in entry:
            yield from _all_of(inner)


def _extends(node: Node) -> Entry | None:
    for key, value in node.entries if isinstance(node, Mapping) else ():
        if key.text == "extends" and not (isinstance(value, Scalar) and value.value is None):
            return key, value
    return None


def _without_extends(node: Node) -> Node:
    if not isinstance(node, Mapping):
        return node
    return Mapping(*node.where(), tuple(e for e in node.entries if e[0].text != "extends"))


def _merged(base: Node, own: Node, name: str) -> Node:
    """Return a value of a service over that of the service that it extends."""
    if isinstance(own, Scalar) and own.value is None and name not in _REPLACED:
        return base
    if name in _REPLACED:
        return own
    if name in _AS_MAPPING:
        base, own = _AS_MAPPING[name](base), _AS_MAPPING[name](own)
    elif name in _LISTS:
        base, own = _as_list(base), _as_list(own)
    if isinstance(base, Mapping) and isinstance(own, Mapping):
        found = {key.text: (key, value) for key, value in base.entries}
        for key, value in own.entries:
            old = found.get(key.text)
            found[key.text] = (key, value if old is None else _merged(old[1], value, key.text))
        return Mapping(*own.where(), tuple(found.values()))
    if isinstance(base, Items) and isinstance(own, Items):
        items = (*base.items, *own.items)
        return Items(*own.where(), _by_target(items) if name == "volumes" else items)
    if type(base) is not type(own):
        raise own.error(f"`{name}` must be {base.kind}, as in the service that is extended")
    return own


def _by_target(mounts: tuple[Node, ...]) -> tuple[Node, ...]:
    """Return mounts of which a later one replaces an earlier one with its target."""
    found: dict[object, Node] = {}
    for mount in mounts:
        target: object = id(mount)
        if isinstance(mount, Scalar) and ":" in mount.text:
            target = mount.text.split(":")[1]
        elif isinstance(mount, Mapping):
            texts = {key.text: value for key, value in mount.entries}
            written = texts.get("target")
            target = written.text if isinstance(written, Scalar) else target
        found[target] = mount
    return tuple(found.values())


def _as_list(node: Node) -> Node:
    return node if isinstance(node, Items) else Items(*node.where(), (node,))


def _variables(node: Node) -> Node:
    """Return a list of ``KEY=VALUE`` as a mapping."""
    if not isinstance(node, Items):
        return node
    found: dict[str, Entry] = {}
    for item in node.items:
        name, equals, value = string(item, "a variable").partition("=")
        where = item.where()
        result = Scalar(*where, value, value) if equals else Scalar(*where, None, "")
        found[name] = (Scalar(*where, name, name), result)
    return Mapping(*node.where(), tuple(found.values()))


def _dependencies(node: Node) -> Node:
    """Return a list of services as a mapping without conditions."""
    if not isinstance(node, Items):
        return node
    names = {string(item, "a service of `depends_on`"): item for item in node.items}
    return Mapping(
        *node.where(),
        tuple(
            (Scalar(*item.where(), name, name), Mapping(*item.where(), ()))
            for name, item in names.items()
        ),
    )


_AS_MAPPING: dict[str, Callable[[Node], Node]] = {
    "environment": _variables,
    "depends_on": _dependencies,
}
