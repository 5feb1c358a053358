"""NVIDIA mig-parted's configuration files (version v1), read as mig-parted reads them, and written.

``mig-configs`` holds named configurations, each a list of entries: ``devices`` (all, or indexes),
``device-filter`` (PCI ids), ``mig-enabled``, ``mig-devices`` (profile: count). The format has no
placements (github.com/NVIDIA/mig-parted, api/spec/v1/spec.go and pkg/types).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence

from launcher.jobfile.values.nodes import Items, Mapping, Node, Scalar
from launcher.jobfile.values.scalars import unknown
from launcher.wire import LayoutEntry, LayoutSpec, SavedGpu

MOST_OF_A_PROFILE = 99
_FIELDS = ("devices", "device-filter", "mig-enabled", "mig-devices")
_REQUIRED = ("devices", "mig-enabled")
_PCI_ID = r"0[xX][0-9A-Fa-f]{1,8}"
_FILTER = re.compile(f"{_PCI_ID}(?::{_PCI_ID})?")
_PROFILE = re.compile(r"(?:\d{1,2}c\.)?\d{1,2}g\.\d{1,4}gb(?:[+-][A-Za-z][A-Za-z0-9.,]{0,60})?")


def configuration(root: Node, name: str | None, *, exact: bool) -> list[LayoutEntry]:
    """Return the entries of one configuration; ``name`` may be None if there is only one.

    The whole file must be valid, as for mig-parted. An entry that selects no GPU on any machine
    (``devices: []``) is left out.
    """
    fields = _fields(root, "a mig-parted file")
    version = fields.get("version")
    if not isinstance(version, Scalar) or version.value != "v1":
        raise (version or root).error("this is not a mig-parted file of `version: v1`")
    for key, _ in root.entries if isinstance(root, Mapping) else ():
        if key.text not in ("version", "mig-configs"):
            raise unknown(key, ["version", "mig-configs"], "a mig-parted file")
    if "mig-configs" not in fields:
        raise root.error("`mig-configs` is missing")
    configurations = {
        label: [_entry(node, exact) for node in _list(value, label)]
        for label, value in _fields(fields["mig-configs"], "`mig-configs`").items()
    }
    label = _chosen(fields["mig-configs"], list(configurations), name)
    entries = [entry for entry in configurations[label] if entry is not None]
    if not entries:
        raise fields["mig-configs"].error(
            f"`{label}` selects no GPU: `devices` is empty in each entry",
            fix="Write `devices: all` or a list of GPU indexes.",
        )
    return entries


def _chosen(node: Node, labels: list[str], name: str | None) -> str:
    if not labels:
        raise node.error("`mig-configs` has no configuration")
    if name is None and len(labels) == 1:
        return labels[0]
    if name is None or name not in labels:
        raise node.error(
            f"there is no configuration {name!r}" if name else "it has several configurations",
            fix=f"Name one with --config: {', '.join(labels)}.",
        )
    return name


def _fields(node: Node, label: str) -> dict[str, Node]:
    if not isinstance(node, Mapping):
        raise node.error(f"{label} must be a mapping (`key: value`), not {node.kind}")
    return {key.text: value for key, value in node.entries}


def _list(node: Node, label: str) -> tuple[Node, ...]:
    if not isinstance(node, Items):
        raise node.error(f"`{label}` is {node.kind}, not a list of entries")
    if not node.items:
        raise node.error(f"`{label}` needs at least one entry")
    return node.items


def _entry(node: Node, exact: bool) -> LayoutEntry | None:
    """Return an entry, None if its ``devices`` are an empty list."""
    fields = _fields(node, "an entry")
    for key, _ in node.entries if isinstance(node, Mapping) else ():
        if key.text not in _FIELDS:
            raise unknown(key, _FIELDS, "an entry of a mig-parted file")
    for name in _REQUIRED:
        if name not in fields:
            raise node.error(f"`{name}` is missing")
    enabled = fields["mig-enabled"]
    if not isinstance(enabled, Scalar) or not isinstance(enabled.value, bool):
        raise enabled.error("`mig-enabled` must be true or false")
    specs = _mig_devices(fields.get("mig-devices"))
    if specs and not enabled.value:
        raise fields["mig-devices"].error("`mig-devices` needs `mig-enabled: true`")
    if enabled.value and specs is None:
        raise node.error("`mig-devices` is missing", fix="Write `mig-devices: {}` for none.")
    gpus, models = _devices(fields["devices"]), _models(fields.get("device-filter"))
    if gpus == []:
        return None
    return LayoutEntry(
        gpus=gpus or [],
        models=models,
        specs=specs if enabled.value else None,
        exact=exact,
        mode=enabled.value,
        matches=True,
    )


def _mig_devices(node: Node | None) -> list[LayoutSpec] | None:
    """Return the requested profiles without those of count 0; None if the field is empty."""
    if node is None or _is_null(node):
        return None
    counts = [(key, _count(key, value)) for key, value in _entries(node)]
    if counts and not any(count for _, count in counts):
        raise node.error("all counts are 0", fix="Write `mig-devices: {}` for no MIG device.")
    return [LayoutSpec(profile=key.text, count=count) for key, count in counts if count]


def _entries(node: Node) -> tuple[tuple[Scalar, Node], ...]:
    _fields(node, "`mig-devices`")
    return node.entries if isinstance(node, Mapping) else ()


def _count(key: Scalar, value: Node) -> int:
    if not _PROFILE.fullmatch(key.text):
        raise key.error(f"`{key.text[:64]}` is not a MIG profile such as 1g.6gb or 1c.2g.12gb+me")
    count = value.value if isinstance(value, Scalar) else None
    if type(count) is not int or not 0 <= count <= MOST_OF_A_PROFILE:
        raise value.error(
            f"`{key.text}` must be a number of instances, from 0 to {MOST_OF_A_PROFILE}"
        )
    return count


def _devices(node: Node) -> list[str] | None:
    """Return the listed indexes, None for all GPUs."""
    if isinstance(node, Scalar) and node.value == "all":
        return None
    if isinstance(node, Items):
        values = [item.value if isinstance(item, Scalar) else None for item in node.items]
        if all(type(value) is int and value >= 0 for value in values):
            return [str(value) for value in values]
    raise node.error("`devices` must be `all` or a list of GPU indexes")


def _models(node: Node | None) -> list[str]:
    if node is None or _is_null(node) or (isinstance(node, Scalar) and node.value == ""):
        return []
    items = node.items if isinstance(node, Items) else (node,)
    texts = [item.text for item in items if isinstance(item, Scalar) and item.kind == "text"]
    if len(texts) != len(items) or not all(_FILTER.fullmatch(text) for text in texts):
        raise node.error(
            "`device-filter` must be a PCI id such as 0x20B710DE, one with a subsystem id such as "
            "0x20B710DE:0x153210DE, or a list of them, in quotes"
        )
    return texts


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None


def dump(gpus: Sequence[SavedGpu], name: str = "current") -> str:
    """Return the layout of GPUs as a mig-parted file with one configuration."""
    lines = ["version: v1", "mig-configs:", f"  {name}:"]
    for gpu in gpus:
        lines += [f"  - devices: [{gpu.index}]", f"    mig-enabled: {str(gpu.mode).lower()}"]
        if gpu.mode:
            counts: Counter[str] = Counter()
            for place in gpu.places:
                counts[place.profile] += place.count
            lines.append("    mig-devices:" if counts else "    mig-devices: {}")
            lines += [f"      {json.dumps(each)}: {n}" for each, n in sorted(counts.items())]
    return "\n".join(lines) + "\n"
