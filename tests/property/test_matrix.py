"""A matrix is what a plain reading of its rules gives, and so are the elements made of it."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from launcher.daemon.requests.array_elements import expand
from launcher.jobfile.reading.files import load_text
from launcher.jobfile.reading.matrix import combinations
from launcher.jobfile.values.array_spec import parse_array
from launcher.wire import JobSpec

Rows = list[dict[str, str]]

VALUES = st.sampled_from(["1", "1.0", "01", "x", "true", ""])
SAME_NUMBER = {"1.0": "1"}
AXES = st.dictionaries(st.sampled_from("abc"), st.lists(VALUES, min_size=1, max_size=3), max_size=3)
ENTRIES = st.lists(
    st.dictionaries(st.sampled_from("abcde"), VALUES, min_size=1, max_size=4), max_size=4
)
SETTINGS = settings(deadline=None, max_examples=300)


def fits(one: dict[str, str], other: dict[str, str], keys: set[str]) -> bool:
    return all(
        SAME_NUMBER.get(one[key], one[key]) == SAME_NUMBER.get(other[key], other[key])
        for key in keys
    )


def plainly(axes: dict[str, list[str]], exclude: Rows, include: Rows) -> Rows:
    """Return the combinations by comparing everything with everything."""
    product: Rows = [{}] if axes else []
    for key, values in axes.items():
        product = [{**one, key: value} for one in product for value in values]
    kept = [one for one in product if not any(fits(one, entry, set(entry)) for entry in exclude)]
    originals = [dict(one) for one in kept]
    own: Rows = []
    for entry in include:
        placed = False
        for one, original in zip(kept, originals, strict=True):
            if fits(original, entry, entry.keys() & original.keys()):
                one.update({key: value for key, value in entry.items() if key not in original})
                placed = True
        own += [] if placed else [dict(entry)]
    return kept + own


@SETTINGS
@given(AXES, ENTRIES, ENTRIES)
def test_a_matrix_is_what_comparing_everything_with_everything_gives(
    axes: dict[str, list[str]], exclude: Rows, include: Rows
) -> None:
    exclude = [entry for entry in exclude if entry.keys() <= axes.keys()]
    expected = plainly(axes, exclude, include)
    assert combinations(axes, exclude, include) == expected
    assume(expected)
    matrix = {**axes, "exclude": exclude, "include": include}
    text = json.dumps({"image": "x", "command": ["-${a}-$${a}-$a"], "matrix": matrix})
    (job,), problems = load_text(text.encode(), "f.yaml", Path("/base"), client={})
    assert not problems
    assert job.array is not None
    assert job.array.matrix == expected
    if any("a" in one for one in expected):
        assert [element.command for element in expand(job)] == [
            (f"-{one.get('a', '')}-${{a}}-$a",) for one in expected
        ]


@SETTINGS
@given(st.text("${}ab", max_size=30), st.text("${}ab", max_size=5))
def test_only_what_refers_to_a_key_is_changed(text: str, value: str) -> None:
    (job,), problems = load_text(
        json.dumps({"image": "x", "command": [text], "matrix": {"a": [value]}}).encode(),
        "f.yaml", Path("/base"), client={},
    )  # fmt: skip
    assert not problems
    (element,) = expand(job)
    expected = value.join(part.replace("\0", "${a}") for part in _split(text))
    assert element == JobSpec(name="x", image="x", command=(expected,))


def _split(text: str) -> list[str]:
    """Return what stands between the references, an escaped one as NUL."""
    return text.replace("$${a}", "\0").split("${a}")


@SETTINGS
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20), st.integers(1, 9)), min_size=1))
def test_an_array_has_the_indices_of_its_ranges(ranges: list[tuple[int, int, int]]) -> None:
    expected = [i for first, more, step in ranges for i in range(first, first + more + 1, step)]
    text = ",".join(f"{first}-{first + more}:{step}" for first, more, step in ranges)
    try:
        assert parse_array(text).indices == expected
    except ValueError as error:
        assert "there twice" in str(error)
        assert len(set(expected)) < len(expected)
    else:
        assert len(set(expected)) == len(expected)
