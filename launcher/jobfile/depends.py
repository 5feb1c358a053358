"""``depends_on`` of a job file: Compose's list and mapping, with Slurm's conditions too."""

from __future__ import annotations

from launcher.jobfile.nodes import Items, Mapping, Node
from launcher.jobfile.values import entries, items, parsed, string, unknown
from launcher.jobfile.waiting import condition


def read_depends_on(node: Node) -> dict[str, str]:
    """Return job name or id -> how it must end; a list means that each must complete."""
    if isinstance(node, Items):
        return {string(item, "a job"): "afterok" for item in items(node, "`depends_on`")}
    if not isinstance(node, Mapping):
        return {string(node, "`depends_on`"): "afterok"}
    return {key.text: _condition(value) for key, value in entries(node, "`depends_on`")}


def _condition(node: Node) -> str:
    found = {key.text: (key, value) for key, value in entries(node, "a dependency")}
    for key, _ in found.values():
        if key.text != "condition":
            raise unknown(key, ["condition"], "a dependency")
    if "condition" not in found:
        return "afterok"
    return parsed(found["condition"][1], "`condition`", condition)
