"""Whole numbers, such as ids and the indices of an array, as text: written in one way."""

from __future__ import annotations

from collections.abc import Collection, Iterable

SHOWN = 20


def runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return the first and last of each run of successive numbers, in order.

    >>> runs([0, 1, 2, 9, 4, 5])
    [(0, 2), (4, 5), (9, 9)]
    """
    ordered = sorted(numbers)
    if len(ordered) > 1 and ordered == list(range(ordered[0], ordered[0] + len(ordered))):
        return [(ordered[0], ordered[-1])]  # by far the most frequent, and the longest
    result: list[tuple[int, int]] = []
    for number in ordered:
        if result and number == result[-1][1] + 1:
            result[-1] = result[-1][0], number
        else:
            result.append((number, number))
    return result


def few(ids: Collection[int]) -> str:
    """Return the first of many ids, and how many more there are.

    >>> few([3, 1]), few(range(30))[-11:]
    ('1, 3', 'and 10 more')
    """
    shown = ", ".join(map(str, sorted(ids)[:SHOWN]))
    return shown if len(ids) <= SHOWN else f"{shown} and {len(ids) - SHOWN} more"


def element(array: int, index: int | str) -> str:
    """Return the name by which people know an element of an array, or several: ``42[0]``.

    >>> element(42, 0), element(42, "0-3")
    ('42[0]', '42[0-3]')
    """
    return f"{array}[{index}]"


def refs(jobs: Iterable[tuple[int, tuple[int, int] | None]]) -> str:
    """Return jobs as people name them, in order, of their ids and (array, index) of elements.

    >>> refs([(12, None), (13, None), (15, (14, 0)), (16, (14, 1))])
    '12-13,14[0-1]'
    """
    single: list[int] = []
    arrays: dict[int, list[int]] = {}
    for job_id, place in jobs:
        if place is None:
            single.append(job_id)
        else:
            arrays.setdefault(place[0], []).append(place[1])
    texts = [
        (first, f"{first}-{last}" if first < last else f"{first}")
        for first, last in runs(set(single))
    ]
    texts += [(array, element(array, ranges(set(indices)))) for array, indices in arrays.items()]
    return ",".join(text for _, text in sorted(texts))


def ranges(indices: Iterable[int]) -> str:
    """Return indices as people write them, in order.

    >>> ranges([0, 1, 2, 9, 4, 5])
    '0-2,4-5,9'
    """
    return ",".join(f"{a}-{b}" if a < b else f"{a}" for a, b in runs(indices))
