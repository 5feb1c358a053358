"""CDI specs: files with the device nodes of each GPU. They do not follow layout changes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from launcher.core.model.gpu import Slice
from launcher.daemon.doctor.finding import Finding, ok, warning
from launcher.daemon.doctor.nodes import NODE
from launcher.daemon.machine.tools import Host
from launcher.gpu.refresh import specs

KIND = "nvidia.com/gpu"
_UUID = re.compile(r"(?:MIG|GPU)-")
_MIG_INDEX = re.compile(r"(?:mig)?\d+:\d+")
_DRIVER_FILE = re.compile(r"\.so\.\d{3,}\.")


@dataclass(frozen=True, slots=True)
class Spec:
    """The content of a spec: device names with their nodes, and the host files that it mounts."""

    path: Path
    devices: Mapping[str, frozenset[str]] = field(default_factory=dict)
    mounts: frozenset[str] = frozenset()

    @property
    def uuids(self) -> set[str]:
        """The device names that are UUIDs."""
        return {name for name in self.devices if _UUID.match(name)}


def parse(path: Path) -> Spec | None:
    """Return a spec of NVIDIA's GPUs, None for another kind.

    Raises ``ValueError`` with a sentence if it cannot be read.
    """
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
        kind = document.get("kind")
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        lines = str(error).splitlines()
        raise ValueError(f"cannot read {path}: {lines[0] if lines else error}") from error
    except AttributeError as error:
        raise ValueError(f"cannot read {path}: not a CDI spec") from error
    if kind != KIND:
        return None
    devices = {str(d.get("name")): _nodes(d) for d in _rows(document, "devices")}
    mounts = _rows(document.get("containerEdits"), "mounts")
    return Spec(path, devices, frozenset(str(m.get("hostPath")) for m in mounts))


def _nodes(device: dict[str, Any]) -> frozenset[str]:
    rows = _rows(device.get("containerEdits"), "deviceNodes")
    return frozenset(str(row.get("hostPath") or row.get("path")) for row in rows)


def _rows(holder: Any, name: str) -> list[dict[str, Any]]:
    rows = holder.get(name) if isinstance(holder, dict) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def check(
    host: Host, slices: tuple[Slice, ...], nodes: Mapping[str, Sequence[str]]
) -> Iterator[Finding]:
    """Report the specs that do not match the layout; ``nodes`` has each slice's required nodes."""
    result: list[Spec] = []
    for path in specs(host.root):
        try:
            spec = parse(path)
        except ValueError as error:
            yield warning("cdi", str(error), repair=rewrite(path))
            continue
        if spec is not None:
            result.append(spec)
    missing = list(_missing(result, slices))
    for spec in result:
        why = [*_gone(spec, slices), *missing, *_wrong_nodes(spec, nodes), *_old(spec, host)]
        if why:
            text = f"{spec.path} is older than the layout or the driver: {'; '.join(why)}"
            yield warning("cdi", text, repair=rewrite(spec.path))
        else:
            yield ok("cdi", f"{spec.path} matches the layout")


def rewrite(path: Path) -> tuple[str, ...]:
    """Return the command that rewrites a spec."""
    return ("nvidia-ctk", "cdi", "generate", f"--output={path}")


def _gone(spec: Spec, slices: tuple[Slice, ...]) -> Iterator[str]:
    present = {s.uuid for s in slices} | {s.gpu_uuid for s in slices}
    gone = sorted(uuid for uuid in spec.uuids - present if uuid.startswith("MIG-"))
    if gone:
        yield f"it names {_some(gone)}, which does not exist now"


def _missing(result: Sequence[Spec], slices: tuple[Slice, ...]) -> Iterator[str]:
    """What no spec names: by UUID, or if they number their devices, by count."""
    cut = [s.uuid for s in slices if s.gi is not None]
    named: set[str] = set().union(*(spec.uuids for spec in result))
    numbered = {name for spec in result for name in spec.devices if _MIG_INDEX.fullmatch(name)}
    lacking = sorted(set(cut) - named)
    if named and lacking:
        yield f"it does not name {_some(lacking)}"
    elif not named and result and len(numbered) != len(cut):
        yield f"it numbers {len(numbered)} MIG devices, but {len(cut)} exist"


def _wrong_nodes(spec: Spec, nodes: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for uuid in sorted(spec.uuids & nodes.keys()):
        paths = {path for path in spec.devices[uuid] if path.startswith(NODE)}
        if nodes[uuid] and paths != set(nodes[uuid]):
            yield f"it has another slice's device nodes for {uuid}"
            return


def _old(spec: Spec, host: Host) -> Iterator[str]:
    files = sorted(path for path in spec.mounts if _DRIVER_FILE.search(path))
    gone = [path for path in files if not host.file(path).exists()]
    if gone:
        yield f"it mounts {gone[0]} of another driver"


def _some(names: Sequence[str]) -> str:
    rest = len(names) - 1
    return names[0] + (f" and {rest} more" if rest else "")
