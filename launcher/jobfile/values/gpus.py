"""The ``gpus:`` key in all its forms: a SPEC, our short mapping, Compose's long form."""

from __future__ import annotations

from dataclasses import replace

from launcher.jobfile.values import gpu_spec, units
from launcher.jobfile.values.nodes import Items, Mapping, Node, Scalar
from launcher.jobfile.values.scalars import entries, items, parsed, string, unknown
from launcher.spec.gpus import GpuCapability, GpuRequest

_SHORT = ("profile", "memory", "count")
_LONG = ("driver", "count", "options", "capabilities", "device_ids")


def read_gpus(node: Node) -> GpuRequest:
    """Return what a job asks of the GPUs."""
    if isinstance(node, Items):
        if len(node.items) != 1 or not isinstance(node.items[0], Mapping):
            raise node.error("`gpus` as a list takes one mapping (Compose's long form)")
        return _mapping(node.items[0], listed=True)
    if isinstance(node, Mapping):
        return _mapping(node, listed=False)
    return parsed(node, "`gpus`", gpu_spec.parse_spec)


def _mapping(node: Node, *, listed: bool) -> GpuRequest:
    """Return the request of a mapping; in a list it is Compose's, whatever keys it has."""
    keys = {key.text: (key, value) for key, value in entries(node, "`gpus`")}
    known = set(_SHORT) | set(_LONG)
    for key, _ in keys.values():
        if key.text not in known:
            raise unknown(key, known, "`gpus`")
    if "driver" in keys:
        driver = string(keys["driver"][1], "`driver`")
        if driver != "nvidia":
            raise keys["driver"][1].error(f"the driver '{driver[:40]}' is not known: write nvidia")
    capabilities = _capabilities(keys["capabilities"][1]) if "capabilities" in keys else ()
    return replace(_slices(node, keys, listed=listed), capabilities=capabilities)


def _slices(node: Node, keys: dict[str, tuple[Scalar, Node]], *, listed: bool) -> GpuRequest:
    if "device_ids" in keys:
        return _device_ids(keys)
    options = _options(keys["options"][1]) if "options" in keys else {}
    asked = _asked(keys, options)
    if not asked and (listed or {"driver", "capabilities"} & keys.keys()):
        return _whole(keys["count"][1] if "count" in keys else None)
    if len(asked) != 1:
        raise node.error("`gpus` needs exactly one of `profile` and `memory`")
    return _one(asked[0], _count(keys["count"][1]) if "count" in keys else 1)


def _whole(count: Node | None) -> GpuRequest:
    """Return what Compose's long form means by itself: so many whole GPUs, or every one."""
    if count is None or string(count, "`count`") in ("all", "-1"):
        return GpuRequest(kind="all")
    return GpuRequest(kind="full", count=_count(count))


def _asked(
    result: dict[str, tuple[Scalar, Node]], options: dict[str, Node]
) -> list[tuple[str, Node]]:
    short = [(name, result[name][1]) for name in ("profile", "memory") if name in result]
    return short + list(options.items())


def _one(asked: tuple[str, Node], count: int) -> GpuRequest:
    name, node = asked
    if name == "profile":
        return parsed(node, "`profile`", lambda text: gpu_spec.parse_profile(text, count=count))
    return parsed(node, "`memory`", lambda text: gpu_spec.parse_memory(text, count=count))


def _options(node: Node) -> dict[str, Node]:
    result: dict[str, Node] = {}
    for key, value in entries(node, "`options`"):
        if key.text not in ("profile", "memory"):
            raise unknown(key, ("profile", "memory"), "`options`")
        result[key.text] = value
    return result


def _count(node: Node) -> int:
    return parsed(node, "`count`", units.parse_count)


def _capabilities(node: Node) -> tuple[GpuCapability, ...]:
    words = [string(item, "a capability") for item in items(node, "`capabilities`")]
    try:
        return gpu_spec.check_capabilities(words)
    except ValueError as error:
        raise node.error(f"`capabilities`: {error}") from error


def _device_ids(result: dict[str, tuple[Scalar, Node]]) -> GpuRequest:
    key, node = result["device_ids"]
    if {"profile", "memory", "options", "count"} & set(result):
        raise key.error("`device_ids` names the slices: leave the other keys out")
    uuids = [string(item, "a device id") for item in items(node, "`device_ids`")]
    if not uuids:
        raise node.error("`device_ids` is empty")
    try:
        return GpuRequest(kind="uuid", uuids=gpu_spec.parse_uuids(",".join(uuids)))
    except ValueError as error:
        raise node.error(f"`device_ids`: {error}") from error
