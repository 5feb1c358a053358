"""``array``, ``matrix`` and ``max_parallel``: which elements they make, and what is refused."""

from __future__ import annotations

import re

import pytest

from launcher.jobfile.values.array_spec import parse_array
from launcher.wire import ArrayRequest
from tests.support.plain_work import cost
from tests.unit.jobfile.documents import read, said


def matrix(text: str) -> list[dict[str, str]]:
    """Return the combinations of a matrix in YAML's flow style."""
    array = read(f"image: x\nmatrix: {text}").array
    assert array is not None
    assert array.indices == list(range(len(array.matrix)))
    return array.matrix


def lines(found: list[dict[str, str]]) -> list[str]:
    return [" ".join(f"{key}={value}" for key, value in one.items()) for one in found]


@pytest.mark.parametrize(
    ("text", "indices", "most"),
    [
        ("0-3", [0, 1, 2, 3], None),
        ("5", [5], None),
        ("7-7", [7], None),
        ("1,3,5", [1, 3, 5], None),
        ("0-9:3", [0, 3, 6, 9], None),
        ("0-10:4", [0, 4, 8], None),
        ("8,0-2%2", [8, 0, 1, 2], 2),
        (" 0-1, 4 % 3 ", [0, 1, 4], 3),
        ("2147483647", [2**31 - 1], None),
        ("0-99%7", list(range(100)), 7),
        ("1-100000", list(range(1, 100_001)), None),
    ],
)
def test_an_array_is_read_as_slurm_writes_it(
    text: str, indices: list[int], most: int | None
) -> None:
    assert parse_array(text) == ArrayRequest(indices=indices, max_parallel=most)
    assert read(f"image: x\narray: {text}").array == parse_array(text)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "is not a valid index or range"),
        ("a", "'a' is not a valid index or range: write 0-99, 1,3,5 or 0-9:2, and %7 behind it"),
        ("-1", "is not a valid index"),
        ("1-", "is not a valid index"),
        ("1..3", "is not a valid index"),
        ("1,,3", "is not a valid index"),
        ("[1-3]", "is not a valid index"),
        ("3:2", "is not a valid index"),
        ("٣", "is not a valid index"),
        ("9-3", "'9-3' goes down: write the lower index first, 3-9"),
        ("0-9:0", "a step of 0"),
        ("1-3,2", "the index 2 is there twice"),
        ("0-2147483648:1000000", "beyond the last index, 2147483647"),
        ("0-100000", "more than 100000 elements"),
        ("0-60000,70000-130000", "more than 100000 elements"),
        ("0-2147483647", "more than 100000 elements"),
        ("0-9%0", "'0' is not a valid number of jobs at once"),
        ("0-9%", "'' is not a valid number of jobs at once"),
        ("0-9%x", "'x' is not a valid number of jobs at once"),
        ("0-9%1%2", "'1%2' is not a valid number of jobs at once"),
        ("0-9%100001", "from 1 to 100000"),
    ],
)
def test_what_is_no_array_is_explained(text: str, wrong: str) -> None:
    def is_refused() -> None:
        with pytest.raises(ValueError, match=re.escape(wrong)):
            parse_array(text)

    assert cost(is_refused) < 100


def test_a_job_without_either_is_no_array() -> None:
    assert read("image: x").array is None


def test_a_matrix_is_the_product_with_its_first_key_slowest() -> None:
    found = matrix("{lr: [0.10, 1e-3], seed: [1, 010], on: [true]}")
    assert lines(found) == [
        "lr=0.10 seed=1 on=true",
        "lr=0.10 seed=010 on=true",
        "lr=1e-3 seed=1 on=true",
        "lr=1e-3 seed=010 on=true",
    ]


def test_exclude_takes_away_all_that_an_entry_fits() -> None:
    found = matrix("{a: [1, 2, 3], b: [x, y], exclude: [{a: 1}, {a: 2, b: y}]}")
    assert lines(found) == ["a=2 b=x", "a=3 b=x", "a=3 b=y"]


def test_equal_numbers_are_the_same_however_they_are_written() -> None:
    assert lines(matrix('{lr: [0.10, "1", 01], exclude: [{lr: 0.1}, {lr: 1.0}]}')) == ["lr=01"]
    assert lines(matrix("{a: [true, 1], exclude: [{a: 1}]}")) == ["a=true"]
    assert lines(matrix("{a: [9e999, 8e999], exclude: [{a: 9e999}]}")) == ["a=8e999"]


def test_include_is_what_github_s_documentation_shows() -> None:
    found = matrix(
        "{fruit: [apple, pear], animal: [cat, dog], include: [{color: green},"
        " {color: pink, animal: cat}, {fruit: apple, shape: circle}, {fruit: banana},"
        " {fruit: banana, animal: cat}]}"
    )
    assert lines(found) == [
        "fruit=apple animal=cat color=pink shape=circle",
        "fruit=apple animal=dog color=green shape=circle",
        "fruit=pear animal=cat color=pink",
        "fruit=pear animal=dog color=green",
        "fruit=banana",
        "fruit=banana animal=cat",
    ]


def test_include_comes_after_exclude_and_may_stand_alone() -> None:
    assert lines(matrix("{a: [1, 2], exclude: [{a: 1}], include: [{a: 1, b: x}]}")) == [
        "a=2",
        "a=1 b=x",
    ]
    assert lines(matrix("{include: [{a: 42}, {a: foo}]}")) == ["a=42", "a=foo"]
    assert lines(matrix("{a: [1], include: [{a: 1}]}")) == ["a=1"]


def test_max_parallel_stands_beside_an_array_or_a_matrix() -> None:
    for text, most in (
        ("matrix: {a: [1, 2]}\nmax_parallel: 2", 2),
        ("max_parallel: 3\narray: 0-9", 3),
        ("max_parallel: 3\narray: 0-9%3", 3),
        ("array: 0-9%4", 4),
    ):
        array = read(f"image: x\n{text}").array
        assert array is not None
        assert array.max_parallel == most


WRONG: dict[str, tuple[str, str]] = {
    "array and matrix": (
        "matrix: {a: [1]}\narray: 0-3",
        "2:1: `matrix`: a job is an array or has a matrix, not both: leave one out",
    ),
    "max_parallel alone": ("max_parallel: 2", "2:1: `max_parallel`: it says how many of an array"),
    "max_parallel twice": (
        "array: 0-9%3\nmax_parallel: 2",
        "3:1: `max_parallel`: 2 is not the %3 of `array`: write one of them",
    ),
    "max_parallel of nothing": ("array: 0-9\nmax_parallel: 0", "3:15: `max_parallel`: '0' is no"),
    "max_parallel in schedule": (
        "matrix: {a: [1]}\nschedule: {max_parallel: 2}",
        "3:12: `max_parallel` belongs to the job, not under `schedule`",
    ),
    "an array as a list": ("array: [1, 2]", "2:8: `array` must be text, not a list"),
    "an array of words": ("array: all", "2:8: `array`: 'all' is not a valid index"),
    "an empty matrix": ("matrix: {}", "2:9: `matrix` is empty"),
    "a matrix of a list": ("matrix: [1]", "2:9: `matrix` must be a mapping"),
    "an empty list": ("matrix: {a: [1], b: []}", "2:21: the list of `b` is empty"),
    "no list": ("matrix: {a: 1}", "2:13: `a` must be a list, not a number"),
    "a list in a list": ("matrix: {a: [1, [2]]}", "2:17: a value of `a` must be text, not a list"),
    "a value of nothing": ("matrix: {a: [1, null]}", "2:17: a value of `a` must be text"),
    "a key": ("matrix: {my-lr: [1]}", "2:10: 'my-lr' is not a valid key of a matrix: use letters"),
    "a key of include": ("matrix: {a: [1], include: [{1a: 2}]}", "2:29: '1a' is not a valid key"),
    "a key exclude does not know": (
        "matrix: {seed: [1], exclude: [{sed: 1}]}",
        "2:32: `sed` is not a key of this matrix (did you mean `seed`?)",
    ),
    "exclude as a mapping": ("matrix: {a: [1], exclude: {a: 1}}", "2:27: `exclude` must be a list"),
    "an entry that is a word": ("matrix: {a: [1], include: [a]}", "2:28: an entry of `include`"),
    "an empty entry": ("matrix: {a: [1], include: [{}]}", "2:28: an entry of `include` is empty"),
    "a list in include": ("matrix: {a: [1], include: [{b: [1]}]}", "the value of `b` must be text"),
    "nothing left": ("matrix: {a: [1], exclude: [{a: 1}]}", "2:9: `exclude` leaves no combination"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_in_an_array_is_named_where_it_stands(name: str) -> None:
    text, wrong = WRONG[name]
    assert wrong in said(f"image: x\n{text}\n")


def test_more_than_a_hundred_thousand_combinations_are_refused_before_they_are_made() -> None:
    many = "[" + ", ".join(map(str, range(400))) + "]"
    text = f"image: x\nmatrix: {{a: {many}, b: {many}}}"
    assert said(text).startswith("2:9: `matrix` has more than 100000 combinations")
    keys = ", ".join(f"k{number}: [1, 2]" for number in range(4000))
    wide = f"image: x\nmatrix: {{{keys}}}"
    assert "has more than 100000" in said(wide)
    assert cost(lambda: (said(text), said(wide)), 200) < 200


def test_a_key_of_the_matrix_may_stand_in_any_string_of_the_job() -> None:
    job = read(
        "image: 'r.example/${model}:${tag}'\ncommand: run --lr ${lr} $HOME\n"
        "working_dir: ${dir}\nvolumes: ['./data/${model}:/data']\nenvironment: {LR: '${lr}'}\n"
        "matrix: {lr: [0.1], model: [a, b], tag: [1], dir: [/w]}\n"
    )
    assert job.image == "r.example/${model}:${tag}"
    assert job.command == ("run", "--lr", "${lr}", "$HOME")
    assert job.working_dir == "${dir}"
    assert job.volumes[0].source == "/base/data/${model}"


def test_what_a_combination_makes_of_an_image_is_checked() -> None:
    wrong = said("matrix: {tag: [1.36, Not Good]}\nimage: busybox:${tag}\n")
    assert wrong.startswith("2:8: `image`: 'busybox:Not Good' is not a valid image")
    assert "is not a valid image" in said("image: busybox:${tga}\nmatrix: {tag: [1]}")
    assert "must be an absolute path" in said("image: x\nworking_dir: ${a}\nmatrix: {a: [/w, w]}")


def test_a_wrong_matrix_is_the_one_mistake_of_a_job_that_uses_it() -> None:
    (wrong,) = said("image: x:${tag}\nmatrix: {tag: []}").splitlines()
    assert wrong.startswith("2:15: the list of `tag` is empty")


FIXED = {
    "name": "name: job-${v}",
    "user": 'user: "${v}"',
    "env_file": 'env_file: ["none-${v}.env"]',
    "mem_limit": 'mem_limit: "${v}"',
    "gpus": 'gpus: "${v}"',
    "gpus by keys": 'gpus: {profile: 1g.6gb, count: "${v}"}',
    "cpus": 'cpus: "${v}"',
    "pull_policy": 'pull_policy: "${v}"',
    "depends_on": 'depends_on: ["prep-${v}"]',
    "depends_on by name": 'depends_on: {"prep-${v}": {condition: afterok}}',
    "time_limit": 'schedule: {time_limit: "${v}h"}',
    "priority": 'schedule: {priority: "${v}"}',
    "retries": 'schedule: {retries: {max: "${v}"}}',
}


@pytest.mark.parametrize("name", FIXED)
def test_where_a_matrix_replaces_is_said_with_the_error_of_a_key_where_it_does_not(
    name: str,
) -> None:
    text = said(f"image: x\n{FIXED[name]}\nmatrix: {{v: [1, 2]}}\n")
    assert text.endswith(
        "; a matrix replaces in image, command, entrypoint, environment, working_dir and volumes"
        " only"
    )
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize(
    "text",
    [
        'image: x\nschedule: {time_limit: "${w}"}\nmatrix: {v: [1]}',
        'image: x\nschedule: {time_limit: "${v}"}',
        'image: x\nschedul: {time_limit: "${v}"}\nmatrix: {v: [1]}',
        'image: "${v} "\nmatrix: {v: [1]}',
    ],
)
def test_what_names_no_key_of_the_matrix_is_told_nothing_of_it(text: str) -> None:
    assert "a matrix replaces" not in said(text)
