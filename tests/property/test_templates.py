"""What is read back of an array's elements is what was made of them when they were submitted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher import wire
from launcher.core.messages.changes import Changes
from launcher.core.model.arrays import Array
from launcher.core.model.job import Element
from launcher.daemon.api.views import job_views
from launcher.daemon.requests import convert
from launcher.daemon.requests.array_elements import Commands, expand, made_again, template_of
from launcher.store import Reader, Store, Stored
from tests.support.builders import ALICE
from tests.support.whole import many
from tests.unit.daemon.requests.test_convert import requests
from tests.unit.store.worlds import job

SETTINGS = settings(
    deadline=None,
    max_examples=many(100, 500),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
WORDS = st.lists(
    st.sampled_from(["${a}", "$${a}", "${b}", "${c}", "$", "$$", "{a}", "é", "\n", "-x", "${"]),
    max_size=6,
).map("".join)
VALUES = st.dictionaries(st.sampled_from("abc"), WORDS, max_size=3)
TEMPLATES = st.builds(
    replace,
    requests,
    image=WORDS,
    command=st.none() | st.lists(WORDS, max_size=3).map(tuple),
    entrypoint=st.none() | st.lists(WORDS, max_size=2).map(tuple),
    environment=st.dictionaries(WORDS, WORDS, max_size=2),
    working_dir=st.none() | WORDS,
    volumes=st.lists(st.builds(wire.Mount, source=WORDS, target=WORDS), max_size=2).map(tuple),
)


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[tuple[Store, Reader]]:
    store = Store.open(tmp_path)
    reader = Reader(tmp_path)
    yield store, reader
    reader.close()
    store.close()


@SETTINGS
@given(request=TEMPLATES, matrix=st.lists(VALUES, min_size=1, max_size=4), plain=st.booleans())
def test_every_element_is_read_back_as_it_was_expanded(
    stored: tuple[Store, Reader],
    request: wire.JobSpec,
    matrix: list[dict[str, str]],
    plain: bool,
) -> None:
    store, reader = stored
    array = wire.ArrayRequest(indices=list(range(len(matrix))), matrix=[] if plain else matrix)
    asked = replace(request, array=array)
    expected = expand(asked)
    ids = _keep(store, asked, len(matrix))
    commands, making = reader.commands(ids), Commands()
    for job_id, element in zip(ids, expected, strict=True):
        found = reader.spec(job_id)
        assert found is not None
        assert made_again(found) == element
        assert convert.document(made_again(found)) == convert.document(element)
        assert making.head(commands[job_id], 4096) == (
            None if element.command is None else list(element.command)
        )


def _keep(store: Store, asked: wire.JobSpec, size: int) -> list[int]:
    """Store an array; returns the ids of its elements."""
    assert asked.array is not None
    first = store.load(1).next_id
    changes = Changes()
    changes.arrays[first] = (Array(first, ALICE, "a", size), template_of(asked))
    for index in range(size):
        values = tuple(asked.array.matrix[index].items()) if asked.array.matrix else ()
        one = job(first + 1 + index, element=Element(first, index, values))
        changes.new_jobs.append((one, ""))
    store.commit(changes)
    return [one.id for one, _ in changes.new_jobs]


@SETTINGS
@given(
    command=st.lists(WORDS, min_size=1, max_size=5),
    values=VALUES,
    times=st.integers(1, 60),
    most=st.integers(0, 40),
)
def test_the_head_of_a_command_is_cut_as_the_whole_is(
    command: list[str], values: dict[str, str], times: int, most: int
) -> None:
    words = tuple(word * times for word in command)
    whole = expand(
        wire.JobSpec(
            name="a", image="x", command=words,
            array=wire.ArrayRequest(indices=[0, 1], matrix=[values, {"a": "1", "b": ""}]),
        )
    )[0].command  # fmt: skip
    stored = Stored(json.dumps(words), ("a", "b", *(k for k in values if k == "c")), values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job_views, "COMMAND_CHARACTERS", most)
        assert job_views.cut(Commands().head(stored, most)) == job_views.cut(whole)
