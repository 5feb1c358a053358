"""Layouts as ``launch layout export -o json`` prints them: with GPU UUIDs and placements."""

from __future__ import annotations

from launcher.jobfile.layouts.layout_spec import parse_spec
from launcher.jobfile.values.nodes import Items, Mapping, Node, Scalar
from launcher.jobfile.values.scalars import boolean, string, unknown
from launcher.wire import LayoutEntry, LayoutSpec

MOST_GPUS = 64
MOST_PLACES = 256
_GPU = ("gpu", "index", "mode", "places")
_PLACE = ("profile", "count", "start")


def exported(root: Items, *, exact: bool) -> list[LayoutEntry]:
    """Return the layout of each GPU as an entry."""
    if not root.items:
        raise root.error("the list names no GPU")
    if len(root.items) > MOST_GPUS:
        raise root.error(f"the list names {len(root.items)} GPUs; at most {MOST_GPUS} are read")
    return [_entry(node, exact) for node in root.items]


def _entry(node: Node, exact: bool) -> LayoutEntry:
    fields = _fields(node, _GPU, "a GPU of an exported layout")
    for name in ("gpu", "mode"):
        if name not in fields:
            raise node.error(f"`{name}` is missing")
    gpu, mode = string(fields["gpu"], "`gpu`"), boolean(fields["mode"], "`mode`")
    if not gpu.startswith("GPU-"):
        raise fields["gpu"].error("`gpu` must be a GPU's UUID")
    places = _places(fields.get("places"))
    if places and not mode:
        raise fields["places"].error("`places` needs `mode: true`")
    return LayoutEntry(gpus=[gpu], specs=places if mode else None, exact=exact, mode=mode)


def _places(node: Node | None) -> list[LayoutSpec]:
    if node is None:
        return []
    if not isinstance(node, Items):
        raise node.error(f"`places` must be a list, not {node.kind}")
    if len(node.items) > MOST_PLACES:
        raise node.error(f"`places` may have up to {MOST_PLACES} entries")
    return [_place(item) for item in node.items]


def _place(node: Node) -> LayoutSpec:
    fields = _fields(node, _PLACE, "a place")
    if "profile" not in fields:
        raise node.error("`profile` is missing")
    text = string(fields["profile"], "`profile`")
    count = _number(fields.get("count"), "`count`", 1)
    start = _number(fields.get("start"), "`start`", None)
    text += "" if count in (None, 1) else f":{count}"
    text += "" if start is None else f"@{start}"
    try:
        return parse_spec(text)
    except ValueError as error:
        raise node.error(str(error)) from error


def _number(node: Node | None, label: str, default: int | None) -> int | None:
    if node is None or (isinstance(node, Scalar) and node.value is None):
        return default
    if not isinstance(node, Scalar) or type(node.value) is not int or not 0 <= node.value < 100:
        raise node.error(f"{label} must be a number from 0 to 99")
    return node.value


def _fields(node: Node, known: tuple[str, ...], label: str) -> dict[str, Node]:
    if not isinstance(node, Mapping):
        raise node.error(f"{label} must be a mapping (`key: value`), not {node.kind}")
    for key, _ in node.entries:
        if key.text not in known:
            raise unknown(key, known, label)
    return {key.text: value for key, value in node.entries}
