"""The key ``notify`` of a job: who is told of it."""

from __future__ import annotations

from launcher.jobfile.values.nodes import Items, Mapping, Node, Scalar
from launcher.jobfile.values.scalars import entries, items, parsed, string, unknown
from launcher.spec import notify

_KEYS = ("webhook", "mail", "on")


def read_notify(node: Node) -> tuple[notify.NotifyTarget, ...]:
    """Return the targets of one word, one mapping or a list of these."""
    if isinstance(node, Scalar) and node.text == notify.NONE:
        return ()
    nodes = items(node, "`notify`") if isinstance(node, Items) else (node,)
    targets = tuple(map(_target, nodes))
    try:
        notify.check_targets(targets)
    except ValueError as error:
        raise node.error(f"`notify`: {error}") from error
    return targets


def _target(node: Node) -> notify.NotifyTarget:
    if not isinstance(node, Mapping):
        return parsed(node, "`notify`", notify.parse_target)
    found: dict[str, Node] = {}
    for key, value in entries(node, "`notify`"):
        if key.text not in _KEYS:
            raise unknown(key, _KEYS, "`notify`")
        found[key.text] = value
    if ("webhook" in found) == ("mail" in found):
        raise node.error("a target of `notify` has either `webhook` or `mail`")
    on = _when(found["on"]) if "on" in found else (notify.END,)
    if "webhook" in found:
        return notify.NotifyTarget(
            webhook=parsed(found["webhook"], "`webhook`", notify.check_url), on=on
        )
    return notify.NotifyTarget(mail=_mail(found["mail"]), on=on)


def _mail(node: Node) -> str:
    """Return the address; ``true`` is the user's own mailbox."""
    if isinstance(node, Scalar) and node.value is True:
        return notify.ME
    return parsed(node, "`mail`", notify.check_mail)


def _when(node: Node) -> tuple[str, ...]:
    nodes = items(node, "`on`") if isinstance(node, Items) else (node,)
    try:
        return notify.check_when([string(each, "`on`") for each in nodes])
    except ValueError as error:
        raise node.error(f"`on`: {error}") from error
