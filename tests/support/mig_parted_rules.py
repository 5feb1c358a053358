"""What NVIDIA mig-parted would do with a configuration, from its Go sources, for one board.

Independent of the launcher's code: only the data of the stand-in boards is shared. The sources are
api/spec/v1/helpers.go (filters, devices), cmd/nvidia-mig-parted/apply/{mode,config}.go (GPUs that
cannot do MIG) and pkg/mig/config/config.go (``SetMigConfig``) of github.com/NVIDIA/mig-parted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from launcher.fakegpu.boards import BoardData, BoardProfile

FILES = Path(__file__).parents[1] / "data" / "mig-parted"
_PROFILE = re.compile(r"(?:(\d+)c\.)?(\d+)g\.(\d+)gb(.*)")


class Verdict(Enum):
    """What mig-parted makes of a configuration on a machine with one GPU."""

    APPLIED = "applied"
    #: No entry matches: mig-parted reports success and changes nothing.
    NO_MATCH = "no match"
    #: The entries are for MIG on a GPU that cannot do MIG: skipped, reported as success.
    SKIPPED = "skipped"
    REFUSED = "refused"


def texts() -> dict[str, str]:
    """Return the configuration files by name; those of manifests are in a ConfigMap."""
    result = {}
    for path in sorted(FILES.glob("*.yaml")):
        text = path.read_text()
        for document in yaml.safe_load_all(text):
            if document.get("kind") == "ConfigMap" and "mig-configs" in str(document["data"]):
                result[path.name] = str(document["data"]["config.yaml"])
            elif "mig-configs" in document:
                result[path.name] = text
    return result


@cache
def configurations(text: str) -> dict[str, list[dict[str, Any]]]:
    """Return the configurations of a file."""
    result: dict[str, list[dict[str, Any]]] = yaml.safe_load(text)["mig-configs"]
    return result


def verdict(entries: Sequence[Mapping[str, Any]], board: BoardData) -> Verdict:
    """Return what mig-parted does on a machine whose only GPU, with index 0, is this board."""
    matching = [entry for entry in entries if _matches(entry, board)]
    if not matching:
        return Verdict.NO_MATCH
    results = {_one(entry, board) for entry in matching[-1:]}
    return results.pop()


def wanted(entries: Sequence[Mapping[str, Any]], board: BoardData) -> Counter[str]:
    """Return the profiles that stand afterwards."""
    last = [entry for entry in entries if _matches(entry, board)][-1]
    return +Counter({key: int(n) for key, n in (last.get("mig-devices") or {}).items()})


def _one(entry: Mapping[str, Any], board: BoardData) -> Verdict:
    if not board.profiles:
        if not entry["mig-enabled"]:
            return Verdict.APPLIED
        return Verdict.SKIPPED if entry["devices"] == "all" else Verdict.REFUSED
    if not entry["mig-enabled"]:
        return Verdict.APPLIED
    found = []
    for name, count in (entry.get("mig-devices") or {}).items():
        profile = _profile(name, board)
        if profile is None:
            return Verdict.REFUSED
        found += [profile] * count
    return Verdict.APPLIED if _fits(found, (), board) else Verdict.REFUSED


def _matches(entry: Mapping[str, Any], board: BoardData) -> bool:
    filters = entry.get("device-filter") or []
    filters = [filters] if isinstance(filters, str) else filters
    devices = entry["devices"]
    listed = devices == "all" or 0 in devices
    return listed and (not filters or any(_has_id(text, board) for text in filters))


def _has_id(text: str, board: BoardData) -> bool:
    device, _, subsystem = text.partition(":")
    same = int(device, 0) == board.pci_device_id
    return same and (not subsystem or int(subsystem, 0) == board.pci_subsystem_id)


def _profile(name: str, board: BoardData) -> BoardProfile | None:
    match = _PROFILE.fullmatch(name)
    assert match is not None, name
    part, *rest = match.groups()
    assert part is None, "none of NVIDIA's files divides GPU instances"
    for profile in board.profiles:
        other = _PROFILE.fullmatch(profile.name)
        if other is not None and list(other.groups())[1:] == rest:
            return profile
    return None


def _fits(
    left: Sequence[BoardProfile], placed: tuple[tuple[BoardProfile, int], ...], board: BoardData
) -> bool:
    """Whether all can be created, in some order and at some places (``CreateGpuInstance``)."""
    if not left:
        return True
    new = left[0]
    if [p for p, _ in placed].count(new) >= new.max_instances:
        return False
    used = [sum(column) for column in zip(new.engines, *(p.engines for p, _ in placed))]  # noqa: B905
    if any(a > b for a, b in zip(used, board.limits, strict=True)):
        return False
    free = [
        start
        for start in new.starts
        if all(start + new.size <= at or at + p.size <= start for p, at in placed)
    ]
    return any(_fits(left[1:], (*placed, (new, start)), board) for start in free)
