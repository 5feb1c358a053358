"""The device nodes of GPU and compute instances: NVML creates instances without nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from launcher.core.model.gpu import Slice
from launcher.daemon.doctor.finding import Finding, ok, warning
from launcher.daemon.machine.mig_device_nodes import minors
from launcher.daemon.machine.tools import Host

NODE = "/dev/nvidia-caps/nvidia-cap"
MAKE_NODES = ("nvidia-smi", "-L")


def nodes_of(s: Slice, gpu_minor: int | None, numbers: Mapping[str, int]) -> list[str]:
    """Return the nodes that a container needs to use a slice, besides /dev/nvidia<n>.

    Empty for a whole GPU, and if the driver does not report them.
    """
    instance = f"gpu{gpu_minor}/gi{s.gi}"
    names = (f"{instance}/access", f"{instance}/ci{s.ci}/access")
    return [f"{NODE}{numbers[name]}" for name in names if name in numbers]


def check(
    host: Host, slices: tuple[Slice, ...], gpu_minors: Mapping[str, int | None]
) -> Iterator[Finding]:
    """Report missing nodes; nothing if the driver has no list of them."""
    numbers = minors(host)
    if not numbers:
        return
    lacking: dict[str, list[str]] = {}
    for s in slices:
        wanted = nodes_of(s, gpu_minors.get(s.gpu_uuid), numbers)
        missing = [node for node in wanted if not host.file(node).exists()]
        if missing:
            lacking[s.uuid] = missing
    if not lacking:
        yield ok("device nodes", f"every slice has its nodes in {Path(NODE).parent}")
        return
    uuid, missing = next(iter(lacking.items()))
    others = f" ({len(lacking) - 1} more slices lack theirs)" if len(lacking) > 1 else ""
    yield warning(
        "device nodes",
        f"{uuid} has no {' and no '.join(missing)}{others}: a container on it may not see a GPU",
        repair=MAKE_NODES,
    )
