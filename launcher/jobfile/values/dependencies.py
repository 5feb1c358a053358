"""``depends_on`` of a job file: Compose's list and mapping, with Slurm's conditions too."""

from __future__ import annotations

from launcher.jobfile.values.names import is_name
from launcher.jobfile.values.nodes import Items, Mapping, Node
from launcher.jobfile.values.scalars import entries, items, parsed, string, unknown
from launcher.jobfile.values.units import parse_duration
from launcher.jobfile.values.waiting import condition, is_job
from launcher.spec.conditions import parse_condition


def read_depends_on(node: Node) -> dict[str, str]:
    """Return job name or id -> how it must end; a list means that each must complete."""
    if isinstance(node, Items):
        return {_job(item, "a job"): "afterok" for item in items(node, "`depends_on`")}
    if not isinstance(node, Mapping):
        return {_job(node, "`depends_on`"): "afterok"}
    keys = entries(node, "`depends_on`")
    return {_job(key, "a job"): _condition(value) for key, value in keys}


def _job(node: Node, label: str) -> str:
    text = string(node, label)
    if not is_job(text) and not is_name(text):
        raise node.error(
            f"`depends_on`: '{text[:80]}' is not a valid job: write a name of this submit, an id,"
            " or 12[3] for one element of an array"
        )
    return text


def _condition(node: Node) -> str:
    keys = {key.text: (key, value) for key, value in entries(node, "a dependency")}
    for key, _ in keys.values():
        if key.text not in ("condition", "delay"):
            raise unknown(key, ["condition", "delay"], "a dependency")
    how = "afterok"
    if "condition" in keys:
        how = parsed(keys["condition"][1], "`condition`", condition)
    if "delay" not in keys:
        return how
    key, value = keys["delay"]
    if how != "after":
        raise key.error("`delay` goes with `condition: after`: it counts from the other's start")
    return parsed(value, "`delay`", _delay)


def _delay(text: str) -> str:
    minutes, seconds = divmod(parse_duration(text), 60)
    if seconds:
        raise ValueError(f"'{text}' is not a number of whole minutes: write 10m or 2h")
    how = f"after+{minutes:.0f}"
    parse_condition(how)
    return how
