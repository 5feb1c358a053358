"""The keys under ``schedule:`` that can be mappings: ``retries`` and ``signal``."""

from __future__ import annotations

from launcher.jobfile.values import retry_spec, signals, units
from launcher.jobfile.values.nodes import Items, Mapping, Node
from launcher.jobfile.values.scalars import entries, items, parsed, unknown
from launcher.spec.job_spec import Retries, SignalBefore

_RETRIES = ("max", "on", "backoff", "max_backoff")


def read_retries(node: Node) -> Retries:
    """Return how often a job runs again: a number, or a mapping that also says when."""
    if not isinstance(node, Mapping):
        return retry_spec.retry_request(parsed(node, "`retries`", retry_spec.parse_retries))
    result = _known(node, _RETRIES, "`retries`")
    if "max" not in result:
        raise node.error("`retries` does not say how many: add `max: 2`")
    times = {
        name: parsed(result[name], f"`{name}`", units.parse_duration)
        for name in ("backoff", "max_backoff")
        if name in result
    }
    retries = parsed(result["max"], "`max`", retry_spec.parse_retries)
    on = _on(result["on"]) if "on" in result else None
    try:
        return retry_spec.retry_request(retries, on, **times)
    except ValueError as error:
        raise result["max_backoff"].error(f"`max_backoff`: {error}") from error


def read_signal(node: Node) -> SignalBefore:
    """Return the signal ahead of the time limit: ``SIGUSR1@60s``, or its two parts by name."""
    if not isinstance(node, Mapping):
        return parsed(node, "`signal`", signals.parse_signal)
    signal_before = _known(node, ("name", "before"), "`signal`")
    for name, example in (("name", "SIGUSR1"), ("before", "60s")):
        if name not in signal_before:
            raise node.error(f"`signal` has no `{name}`: add `{name}: {example}`")
    return SignalBefore(
        name=parsed(signal_before["name"], "`name`", signals.parse_name),
        before=parsed(signal_before["before"], "`before`", signals.parse_before),
    )


def _on(node: Node) -> list[str]:
    if not isinstance(node, Items):
        return parsed(node, "`on`", retry_spec.parse_retry_on)
    result = [
        parsed(item, "an end of `on`", retry_spec.parse_retry_on) for item in items(node, "`on`")
    ]
    if not result:
        raise node.error("`on` is empty: leave it out for infra, or write `retries: 0`")
    return list(dict.fromkeys(end for ends in result for end in ends))


def _known(node: Node, known: tuple[str, ...], label: str) -> dict[str, Node]:
    result: dict[str, Node] = {}
    for key, value in entries(node, label):
        if key.text not in known:
            raise unknown(key, known, label)
        result[key.text] = value
    return result
