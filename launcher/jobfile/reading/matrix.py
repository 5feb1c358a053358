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

from launcher.errors import JobFileError
from launcher.interpolation import KEY
from launcher.jobfile.values.nodes import Node, Scalar, scalar_value
from launcher.jobfile.values.scalars import entries, items, string, unknown
from launcher.spec.job_spec import ArrayRequest

MOST = ArrayRequest.MAX_ELEMENTS
MOST_BYTES = 4 * 2**20
"""What all combinations together may take: a submit has room for twice as much."""
MOST_STEPS = 150_000
BESIDE = 6
"""The quotes, the colon and the comma of JSON."""

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
    count = math.prod(map(len, axes.values()))
    if count > MOST:
        raise node.error(f"`matrix` has more than {MOST} combinations")
    if sum(count // len(axis) * _size(key, axis) for key, axis in axes.items()) > MOST_BYTES:
        raise _too_large(node)
    exclude = _entries_of(rules, "exclude", axes)
    include = _entries_of(rules, "include", None)
    if _steps(count, axes, exclude, include) > MOST_STEPS:
        raise node.error(
            "`exclude` and `include` of this matrix have too many entries of too many kinds",
            fix="Let its keys have fewer values, or make several jobs of it.",
        )
    result = combinations(axes, exclude, include)
    if not result:
        raise node.error("`exclude` leaves no combination of the matrix")
    if len(result) > MOST:
        raise node.error(f"`matrix` and its `include` have more than {MOST} combinations")
    if include and _is_too_large(result):
        raise _too_large(node)
    return result


def _is_too_large(result: Sequence[Combination]) -> bool:
    left = MOST_BYTES
    for one in result:
        left -= sum(len(key) + len(value) + BESIDE for key, value in one.items())
        if left < 0:
            return True
    return False


def _size(key: str, values: Sequence[str]) -> int:
    """Return how many bytes a key takes with each of its values, about as JSON."""
    return sum(len(key) + len(value) + BESIDE for value in values)


def _too_large(node: Node) -> JobFileError:
    return node.error(
        f"the combinations of `matrix` take more than {MOST_BYTES // 2**20} MiB",
        fix="Put what is long into a file or the image, and only its name into the matrix.",
    )


def _steps(
    count: int,
    axes: Mapping[str, Sequence[str]],
    exclude: Sequence[Mapping[str, str]],
    include: Sequence[Mapping[str, str]],
) -> int:
    """Return how often a combination is looked at, at most."""
    kinds = {tuple(sorted(entry)) for entry in exclude}
    own = [axes.keys() & entry.keys() for entry in include]
    fitting = sum(count // max(1, math.prod(len(axes[key]) for key in keys)) for keys in own)
    return count * (len(kinds) + len(set(map(frozenset, own)))) + fitting


def combinations(
    axes: Mapping[str, Sequence[str]],
    exclude: Sequence[Mapping[str, str]],
    include: Sequence[Mapping[str, str]],
) -> list[Combination]:
    """Return the product of the axes without what is excluded, with what is included."""
    places = {name: place for place, name in enumerate(axes)}
    patterns: dict[tuple[int, ...], set[tuple[object, ...]]] = {}
    for entry in exclude:
        names = tuple(sorted(entry))
        at = tuple(places[name] for name in names)
        patterns.setdefault(at, set()).add(_values(entry, names))
    if not axes:
        return _with_included(axes, [], include)
    every = itertools.product(*axes.values())
    if not patterns:
        remaining = [dict(zip(places, values, strict=True)) for values in every]
        return _with_included(axes, remaining, include)
    alike = itertools.product(*([_comparable(text) for text in axis] for axis in axes.values()))
    remaining = [
        dict(zip(places, values, strict=True))
        for values, same in zip(every, alike, strict=True)
        if not any(tuple([same[p] for p in at]) in out for at, out in patterns.items())
    ]
    return _with_included(axes, remaining, include)


def _with_included(
    axes: Mapping[str, Sequence[str]],
    remaining: list[Combination],
    include: Sequence[Mapping[str, str]],
) -> list[Combination]:
    """Add to what is kept; an index for each set of keys spares comparing all with all."""
    indexes: dict[tuple[str, ...], dict[tuple[object, ...], list[Combination]]] = {}
    own: list[Combination] = []
    for entry in include:
        names = tuple(sorted(axes.keys() & entry.keys()))
        if names not in indexes:
            index = indexes[names] = {}
            for one in remaining:
                index.setdefault(_values(one, names), []).append(one)
        fitting = indexes[names].get(_values(entry, names), [])
        others = {key: value for key, value in entry.items() if key not in axes}
        for one in fitting:
            one.update(others)
        if not fitting:
            own.append(dict(entry))
    return remaining + own


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
            f"'{key.text[:80]}' is not a valid key of a matrix: "
            "use letters, digits and '_', no digit first"
        )
    return key.text


def _axis(name: str, node: Node) -> list[str]:
    result = [string(item, f"a value of `{name}`") for item in items(node, f"`{name}`")]
    if not result:
        raise node.error(f"the list of `{name}` is empty: give it a value, or leave the key out")
    return result


def _entries_of(
    rules: Mapping[str, Node], rule: str, axes: Mapping[str, Sequence[str]] | None
) -> list[Combination]:
    """Return the entries of ``exclude`` or ``include``; with ``axes`` no other key is known."""
    if rule not in rules:
        return []
    return [_entry(item, f"`{rule}`", axes) for item in items(rules[rule], f"`{rule}`")]


def _entry(node: Node, rule: str, axes: Mapping[str, Sequence[str]] | None) -> Combination:
    combination: Combination = {}
    for key, value in entries(node, f"an entry of {rule}"):
        if axes is not None and key.text not in axes:
            raise unknown(key, axes, "this matrix")
        combination[_key(key)] = string(value, f"the value of `{key.text}`")
    if not combination:
        raise node.error(f"an entry of {rule} is empty")
    return combination
