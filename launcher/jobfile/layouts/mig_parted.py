"""NVIDIA mig-parted's configuration files (version v1), read as they are and written.

``mig-configs`` holds named configurations, each a list of entries: ``devices`` (all, or indexes),
``device-filter`` (PCI ids), ``mig-enabled``, ``mig-devices`` (profile: count). The format has no
placements (github.com/NVIDIA/mig-parted, api/spec/v1).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from launcher.errors import JobFileError
from launcher.jobfile.values.nodes import MAX_BYTES, Items, Node, Scalar, read_node
from launcher.jobfile.values.scalars import entries, unknown
from launcher.wire import LayoutEntry, LayoutSpec, SavedGpu

_KEYS = ("devices", "device-filter", "mig-enabled", "mig-devices")
_MODEL = re.compile(r"0x[0-9A-Fa-f]{8}")


def load(path: str, name: str | None, *, exact: bool) -> list[LayoutEntry]:
    """Return the entries of one configuration of a file; ``name`` None where there is only one."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise JobFileError(
            f"cannot read it: {(error.strerror or str(error)).lower()}", file=path
        ) from error
    if len(data) > MAX_BYTES:
        raise JobFileError(f"it may have up to {MAX_BYTES // 1024} KiB", file=path)
    root = read_node(data.decode("utf-8", "replace"), path)
    keys = {key.text: value for key, value in entries(root, "a mig-parted file")}
    version = keys.get("version")
    if not isinstance(version, Scalar) or version.value != "v1":
        raise (version or root).error("this is not a mig-parted file of `version: v1`")
    if "mig-configs" not in keys:
        raise root.error("`mig-configs` is missing")
    return [_entry(node, exact) for node in _chosen(keys["mig-configs"], name)]


def _chosen(node: Node, name: str | None) -> tuple[Node, ...]:
    configs = {key.text: value for key, value in entries(node, "`mig-configs`")}
    if name is None and len(configs) == 1:
        name = next(iter(configs))
    if name is None or name not in configs:
        raise node.error(
            f"there is no configuration {name!r}" if name else "it has several configurations",
            fix=f"Name one with --config: {', '.join(configs)}.",
        )
    chosen = configs[name]
    if not isinstance(chosen, Items):
        raise chosen.error(f"`{name}` is {chosen.kind}, not a list of entries")
    return chosen.items


def _entry(node: Node, exact: bool) -> LayoutEntry:
    keys = {key.text: (key, value) for key, value in entries(node, "an entry")}
    for text, (key, _) in keys.items():
        if text not in _KEYS:
            raise unknown(key, list(_KEYS), "an entry of a mig-parted file")
    enabled = keys["mig-enabled"][1] if "mig-enabled" in keys else None
    if not isinstance(enabled, Scalar) or not isinstance(enabled.value, bool):
        raise (enabled or node).error("`mig-enabled` must be true or false")
    specs = None
    if "mig-devices" in keys:
        specs = [_spec(key, value) for key, value in entries(keys["mig-devices"][1], "mig-devices")]
    if specs and not enabled.value:
        raise keys["mig-devices"][1].error("`mig-devices` needs `mig-enabled: true`")
    if enabled.value and specs is None:
        raise node.error("`mig-devices` is missing")
    return LayoutEntry(
        gpus=_devices(keys["devices"][1]) if "devices" in keys else [],
        models=_models(keys["device-filter"][1]) if "device-filter" in keys else [],
        specs=specs if enabled.value else None,
        exact=exact,
        mode=enabled.value,
    )


def _spec(key: Scalar, value: Node) -> LayoutSpec:
    if not isinstance(value, Scalar) or type(value.value) is not int or not 0 < value.value < 100:
        raise value.error(f"`{key.text}` must be a number of instances")
    return LayoutSpec(profile=key.text, count=value.value)


def _devices(node: Node) -> list[str]:
    if isinstance(node, Scalar) and node.value == "all":
        return []
    if isinstance(node, Items) and node.items:
        texts = [item.text for item in node.items if isinstance(item, Scalar)]
        if len(texts) == len(node.items) and all(text.isdecimal() for text in texts):
            return texts
    raise node.error("`devices` must be `all` or a list of GPU indexes")


def _models(node: Node) -> list[str]:
    items = node.items if isinstance(node, Items) else (node,)
    texts = [item.text for item in items if isinstance(item, Scalar)]
    if len(texts) != len(items) or not all(_MODEL.fullmatch(text) for text in texts):
        raise node.error("`device-filter` must be a PCI id such as 0x20B710DE, or a list of them")
    return texts


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
