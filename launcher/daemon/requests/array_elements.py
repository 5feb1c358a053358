"""The elements of an array or a matrix: one request each. Pure; what a client sent is checked.

An array is stored as it was asked, and an element as its values: it is made again when it is read.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from launcher.core.model.arrays import ArrayTemplate
from launcher.core.policy.validate import MOST_WORDS
from launcher.daemon.requests import convert
from launcher.errors import UserError
from launcher.interpolation import KEY, Template, template
from launcher.spec.job_spec import ArrayRequest, JobSpec, Mount
from launcher.store import Stored

MAX_MADE_BYTES = 64 * 1024 * 1024
"""What all the strings, lists and mappings that a matrix makes anew may take, roughly."""

_BYTES_PER_ENTRY = 32

Make = Callable[[Mapping[str, str]], Any]


class Budget:
    """How much may still be made anew, roughly in bytes."""

    def __init__(self) -> None:
        self._left = MAX_MADE_BYTES

    def take(self, size: int) -> None:
        """Refuse what would fill the daemon's memory, before it is made."""
        self._left -= size
        if self._left < 0:
            raise UserError(
                f"array: its elements would take more than {MAX_MADE_BYTES // 2**20} MiB, with "
                "those of the other jobs of this submit",
                fix="Put what is long into a file or the image, and only its name into the matrix.",
            )


def expand(request: JobSpec, budget: Budget | None = None) -> list[JobSpec]:
    """Return the elements of a request: see ``each_element``."""
    return list(each_element(request, budget))


def each_element(request: JobSpec, budget: Budget | None = None) -> Iterator[JobSpec]:
    """Yield the elements of a request in the order of its indices.

    A request that is not an array is its own only element. An element has no ``array``, and its
    combination's values in place of ``${key}``. Elements that do not differ are one object.
    Requests of one submit share a ``budget``. Raises ``UserError``.
    """
    array = request.array
    if array is None:
        yield request
        return
    _check_indices(array)
    _check_matrix(array)
    one = replace(request, array=None)
    if not array.matrix:
        yield from itertools.repeat(one, len(array.indices))
        return
    elements = _Elements(one, _keys(array), budget or Budget())
    yield from map(elements.make, array.matrix)


def template_of(request: JobSpec) -> ArrayTemplate:
    """Return what is stored of an array; with an element's values ``made_again`` gives the element.

    The keys are those of all combinations: one that a combination lacks becomes nothing there.
    """
    assert request.array is not None, "a plain job is stored as it is"
    document = convert.document(replace(request, array=None))
    return ArrayTemplate(document, tuple(sorted(_keys(request.array))))


def made_again(stored: Stored) -> JobSpec:
    """Return the request of a job as it was when the job was submitted, from what is stored."""
    request = convert.parse_document(stored.document)
    return _Elements(request, stored.keys, Budget()).make(stored.values)


class Commands:
    """Reads stored commands; elements of one array that follow each other are parsed once."""

    def __init__(self) -> None:
        self._last: tuple[str, tuple[str, ...]] | None = None
        self._words: list[str | Template] | None = None

    def head(self, stored: Stored, most: int) -> list[str] | None:
        """Return a command, None for the image's own.

        Of a command longer than ``most`` characters it returns more than that, not all: the rest
        is not needed by a list.
        """
        if self._last != (stored.document, stored.keys):
            words = json.loads(stored.document)
            self._words = words and [template(word, stored.keys) or word for word in words]
            self._last = (stored.document, stored.keys)
        if self._words is None:
            return None
        result: list[str] = []
        for word in self._words:
            made = word.head(stored.values, most) if isinstance(word, Template) else word
            result.append(made)
            most -= len(made) + 1
            if most < 0:
                break
        return result


def _keys(array: ArrayRequest) -> set[str]:
    return {key for values in array.matrix for key in values}


def _check_indices(array: ArrayRequest) -> None:
    indices, most = array.indices, ArrayRequest.MAX_ELEMENTS
    if not 0 < len(indices) <= most:
        raise UserError(f"array: it has {len(indices)} elements, 1 to {most} can be")
    for index in (min(indices), max(indices)):
        if not 0 <= index <= ArrayRequest.MAX_INDEX:
            raise UserError(
                f"array: {index} is not a valid index: 0 to {ArrayRequest.MAX_INDEX} can be"
            )
    if len(set(indices)) < len(indices):
        twice = next(index for index, times in Counter(indices).items() if times > 1)
        raise UserError(f"array: the index {twice} is there twice")
    parallel = array.max_parallel
    if parallel is not None and parallel > ArrayRequest.MAX_INDEX:
        raise UserError(f"array: max_parallel is {parallel}, {ArrayRequest.MAX_INDEX} can be")
    if parallel is not None and parallel < 1:
        raise UserError(
            f"array: max_parallel is {parallel}, so that no element could ever run",
            fix="Give 1 or more, or leave it out for no limit.",
        )


def _check_matrix(array: ArrayRequest) -> None:
    if array.matrix and len(array.matrix) != len(array.indices):
        raise UserError(
            f"array: the matrix has {len(array.matrix)} combinations"
            f" for {len(array.indices)} indices; there must be one for each, or no matrix"
        )
    for key in _keys(array):
        if not KEY.fullmatch(key):
            raise UserError(
                f"array: '{key[:80]}' is not a valid key of a matrix",
                fix="Use letters, digits and '_', and no digit first.",
            )


class _Elements:
    """Makes the elements of one matrix: only what holds a ``${key}`` is made anew for each."""

    def __init__(self, request: JobSpec, keys: Collection[str], budget: Budget) -> None:
        self._request = request
        self._keys = keys
        self._budget = budget
        makers = {
            "image": self._text(request.image),
            "command": self._copy(request.command),
            "entrypoint": self._copy(request.entrypoint),
            "environment": self._copy(request.environment),
            "working_dir": self._text(request.working_dir),
            "volumes": self._volumes(request.volumes),
        }
        self._makers = {field: make for field, make in makers.items() if make is not None}

    def make(self, values: Mapping[str, str]) -> JobSpec:
        """Return the element of one combination."""
        if not self._makers:
            return self._request
        return replace(
            self._request, **{field: make(values) for field, make in self._makers.items()}
        )

    def _text(self, text: str | None) -> Make | None:
        make = None if text is None else template(text, self._keys)
        return None if make is None else lambda values: self._render(make, values)

    def _render(self, result: Template, values: Mapping[str, str]) -> str:
        pieces = result.pieces(values)
        size = sum(map(len, pieces))
        if size > MOST_WORDS:
            raise UserError(
                f"array: a text of an element has {size} characters, {MOST_WORDS} can be",
                fix="Put what is long into a file or the image, and only its name into the matrix.",
            )
        self._budget.take(size)
        return "".join(pieces)

    def _copy(self, whole: tuple[str, ...] | dict[str, str] | None) -> Make | None:
        """Return what makes the words of a command, or the values of a mapping, anew."""
        if whole is None:
            return None
        entries = whole.items() if isinstance(whole, dict) else enumerate(whole)
        makers = [(at, make) for at, text in entries if (make := self._text(text))]
        return self._copier(whole, makers) if makers else None

    def _copier(self, whole: Any, makers: Sequence[tuple[Any, Make]]) -> Make:
        def make(values: Mapping[str, str]) -> Any:
            self._budget.take(len(whole) * _BYTES_PER_ENTRY)
            made = dict(whole) if isinstance(whole, dict) else list(whole)
            for at, make_one in makers:
                made[at] = make_one(values)
            return made if isinstance(whole, dict) else tuple(made)

        return make

    def _volumes(self, volumes: tuple[Mount, ...]) -> Make | None:
        makers = [(at, make) for at, volume in enumerate(volumes) if (make := self._volume(volume))]
        return self._copier(volumes, makers) if makers else None

    def _volume(self, volume: Mount) -> Make | None:
        ends = {"source": self._text(volume.source), "target": self._text(volume.target)}
        makers = {end: make for end, make in ends.items() if make is not None}
        if not makers:
            return None
        return lambda values: replace(volume, **{end: make(values) for end, make in makers.items()})
