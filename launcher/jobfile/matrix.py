"""``matrix:`` of a job file: every combination of its values, as GitHub Actions makes them.

The first key changes slowest. ``exclude`` takes away each combination that has all of an entry's
values. Then each entry of ``include`` adds its other values to every combination that has its
values of the matrix's own keys; one that fits none is a combination of its own. Values are the text
that stands in the file; numbers that are equal match each other, however they are written.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

from launcher.interpolation import KEY
from launcher.jobfile.nodes import Node, Scalar, scalar_value
from launcher.jobfile.values import entries, items, string, unknown
from launcher.wire import ArrayRequest

MOST = ArrayRequest.MAX_ELEMENTS

Combination = dict[str, str]


def read_matrix(node: Node) -> list[Combination]:
    """Return the combinations of a matrix in their order; there is at least one."""
    axes: dict[str, list[str]] = {}
    rules: dict[str, Node] = {}
    for key, value in entries(node, "`matrix`"):
        if key.text in ("exclude", "include"):
            rules[key.text] = value
        else:
            axes[_key(key)] = _axis(key.text, value)
    if not axes and not rules:
        raise node.error("`matrix` is empty", fix="Give it keys with lists: {lr: [0.1, 0.01]}.")
    if math.prod(map(len, axes.values())) > MOST:
        raise node.error(f"`matrix` has more than {MOST} combinations")
    exclude = _entries_of(rules, "exclude", axes)
    include = _entries_of(rules, "include", None)
    found = combinations(axes, exclude, include)
    if not found:
        raise node.error("`exclude` leaves no combination of the matrix")
    if len(found) > MOST:
        raise node.error(f"`matrix` and its `include` have more than {MOST} combinations")
    return found


def combinations(
    axes: Mapping[str, Sequence[str]],
    exclude: Sequence[Mapping[str, str]],
    include: Sequence[Mapping[str, str]],
) -> list[Combination]:
    """Return the product of the axes without what is excluded, with what is included."""
    patterns: dict[tuple[str, ...], set[tuple[object, ...]]] = {}
    for entry in exclude:
        names = tuple(sorted(entry))
        patterns.setdefault(names, set()).add(_values(entry, names))
    every = itertools.product(*axes.values()) if axes else ()
    kept = [
        one
        for one in (dict(zip(axes, values, strict=True)) for values in every)
        if not any(_values(one, names) in excluded for names, excluded in patterns.items())
    ]
    return _with_included(axes, kept, include)


def _with_included(
    axes: Mapping[str, Sequence[str]],
    kept: list[Combination],
    include: Sequence[Mapping[str, str]],
) -> list[Combination]:
    """Add to what is kept; an index for each set of keys spares comparing all with all."""
    indexes: dict[tuple[str, ...], dict[tuple[object, ...], list[Combination]]] = {}
    own: list[Combination] = []
    for entry in include:
        names = tuple(sorted(axes.keys() & entry.keys()))
        if names not in indexes:
            index = indexes[names] = {}
            for one in kept:
                index.setdefault(_values(one, names), []).append(one)
        fitting = indexes[names].get(_values(entry, names), [])
        others = {key: value for key, value in entry.items() if key not in axes}
        for one in fitting:
            one.update(others)
        if not fitting:
            own.append(dict(entry))
    return kept + own


def _values(one: Mapping[str, str], names: tuple[str, ...]) -> tuple[object, ...]:
    return tuple(_comparable(one[name]) for name in names)


@lru_cache(maxsize=4096)
def _comparable(text: str) -> object:
    value = scalar_value(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return text
    return value if math.isfinite(value) else text


def _key(key: Scalar) -> str:
    if not KEY.fullmatch(key.text):
        raise key.error(
            f"'{key.text[:80]}' is no key of a matrix: use letters, digits and '_', no digit first"
        )
    return key.text


def _axis(name: str, node: Node) -> list[str]:
    found = [string(item, f"a value of `{name}`") for item in items(node, f"`{name}`")]
    if not found:
        raise node.error(f"the list of `{name}` is empty: give it a value, or leave the key out")
    return found


def _entries_of(
    rules: Mapping[str, Node], rule: str, axes: Mapping[str, Sequence[str]] | None
) -> list[Combination]:
    """Return the entries of ``exclude`` or ``include``; with ``axes`` no other key is known."""
    if rule not in rules:
        return []
    return [_entry(item, f"`{rule}`", axes) for item in items(rules[rule], f"`{rule}`")]


def _entry(node: Node, rule: str, axes: Mapping[str, Sequence[str]] | None) -> Combination:
    found: Combination = {}
    for key, value in entries(node, f"an entry of {rule}"):
        if axes is not None and key.text not in axes:
            raise unknown(key, axes, "this matrix")
        found[_key(key)] = string(value, f"the value of `{key.text}`")
    if not found:
        raise node.error(f"an entry of {rule} is empty")
    return found
