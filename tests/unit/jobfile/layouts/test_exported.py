"""An exported layout is read as it was printed; what was changed in it is checked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from launcher.errors import JobFileError
from launcher.jobfile.layouts.exported import MOST_GPUS, MOST_PLACES, exported
from launcher.jobfile.values.nodes import Items, read_node
from launcher.wire import LayoutEntry, LayoutSpec

GPU = "GPU-11111111-2222-3333-4444-555555555555"


def one(**fields: Any) -> dict[str, Any]:
    return {"gpu": GPU, "index": 0, "mode": True, "places": []} | fields


def read(*gpus: Any, exact: bool = False) -> list[LayoutEntry]:
    root = read_node(json.dumps(gpus), "f.json")
    assert isinstance(root, Items)
    return exported(root, exact=exact)


def refused(*gpus: Any) -> str:
    with pytest.raises(JobFileError) as error:
        read(*gpus)
    return error.value.message


@pytest.mark.parametrize("exact", [True, False])
def test_each_gpu_is_asked_for_by_its_uuid_with_its_places(exact: bool) -> None:
    places = [
        {"profile": "1g.6gb", "count": 1, "start": 0},
        {"profile": "1c.2g.12gb", "count": 2, "start": 2},
        {"profile": "1g.6gb", "count": 2, "start": None},
        {"profile": "1g.6gb"},
    ]
    assert read(one(places=places), exact=exact) == [
        LayoutEntry(
            gpus=[GPU],
            specs=[
                LayoutSpec(profile="1g.6gb", start=0),
                LayoutSpec(profile="1c.2g.12gb", count=2, start=2),
                LayoutSpec(profile="1g.6gb", count=2),
                LayoutSpec(profile="1g.6gb"),
            ],
            exact=exact,
            mode=True,
        )
    ]


def test_without_mig_mode_only_the_mode_is_asked_for() -> None:
    (entry,) = read(one(mode=False))
    assert (entry.specs, entry.mode) == (None, False)
    assert "`places` needs `mode: true`" in refused(one(mode=False, places=[{"profile": "1g.6gb"}]))


@pytest.mark.parametrize(
    ("gpu", "words"),
    [
        ("GPU-x", "a GPU of an exported layout must be a mapping"),
        ({"mode": True}, "`gpu` is missing"),
        ({"gpu": GPU}, "`mode` is missing"),
        (one(gpu="0"), "must be a GPU's UUID"),
        (one(mode="on"), "`mode` must be true or false"),
        (one(mod=True), "did you mean `mode`?"),
        (one(places="1g.6gb"), "`places` must be a list"),
        (one(places=["1g.6gb"]), "a place must be a mapping"),
        (one(places=[{"count": 1}]), "`profile` is missing"),
        (one(places=[{"profile": "1g.6gb", "size": 1}]), "`size` is not a key of a place"),
        (one(places=[{"profile": "1g.6gb", "start": True}]), "`start` must be a number"),
        (one(places=[{"profile": "1g.6gb", "start": -1}]), "`start` must be a number"),
        (one(places=[{"profile": "1g.6gb", "count": 1.0}]), "`count` must be a number"),
        (one(places=[{"profile": "1g.6gb", "count": 0}]), "f.json:"),
        (one(places=[{"profile": "a b"}]), "f.json:"),
    ],
)
def test_what_was_not_printed_so_is_refused_where_it_stands(gpu: Any, words: str) -> None:
    message = refused(gpu)
    assert message.startswith("f.json:1:")
    assert words in message


def test_a_list_of_no_gpu_or_of_too_many_is_refused() -> None:
    assert "names no GPU" in refused()
    assert f"at most {MOST_GPUS}" in refused(*[one()] * (MOST_GPUS + 1))
    many = [{"profile": "1g.6gb"}] * (MOST_PLACES + 1)
    assert f"up to {MOST_PLACES}" in refused(one(places=many))
