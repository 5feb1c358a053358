"""One job or several from a file's tree: names, places of keys, and how mistakes are gathered."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.errors import JobFileError
from launcher.jobfile.reading.jobs import MOST_PROBLEMS, read_jobs
from launcher.jobfile.reading.keys import Around
from launcher.jobfile.values.nodes import read_node
from launcher.spec.job_spec import JobSpec


def read(text: str) -> tuple[list[JobSpec], list[JobFileError]]:
    return read_jobs(read_node(text, "f.yaml"), Around(Path("/base"), {"HOME": "/home/alice"}))


def jobs(text: str) -> list[JobSpec]:
    found, problems = read(text)
    assert problems == []
    return found


def problems(text: str) -> list[str]:
    return [p.message.removeprefix("f.yaml:") for p in read(text)[1]]


def test_a_file_is_one_job_or_several_by_name_in_their_order() -> None:
    assert [job.name for job in jobs("image: team/tool:1")] == ["tool"]
    assert [job.name for job in jobs("{name: mine, image: x}")] == ["mine"]
    assert [job.name for job in jobs("jobs: {b: {image: x}, a: {image: y}}")] == ["b", "a"]


def test_keys_for_the_reader_of_the_file_are_passed_over_everywhere() -> None:
    (job,) = jobs("{x-note: a, jobs: {a: {image: x, x-note: {any: thing}, schedule: {x-y: 1}}}}")
    assert job.image == "x"


def test_variables_of_the_job_stand_above_those_of_its_env_files(tmp_path: Path) -> None:
    (tmp_path / "vars").write_text("A=file\nB=file\n")
    around = Around(tmp_path, {})
    text = "{image: x, env_file: vars, environment: {A: own}}"
    (job,), _ = read_jobs(read_node(text, "f.yaml"), around)
    assert job.environment == {"A": "own", "B": "file"}


def test_a_matrix_is_known_to_the_keys_in_front_of_it() -> None:
    (job,) = jobs("{image: 'x:${tag}', matrix: {tag: [a, b]}}")
    assert job.array is not None
    assert [*job.array.matrix] == [{"tag": "a"}, {"tag": "b"}]
    assert "is not a valid image" in problems("{image: 'x:${tag}', matrix: {tag: [a b]}}")[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{image: x, time_limit: 1h}", "1:12: `time_limit` belongs under `schedule`"),
        ("{image: x, schedule: {cpus: 1}}", "`cpus` belongs to the job, not under `schedule`"),
        ("{image: x, scheduel: {}}", "did you mean `schedule`?"),
        ("{image: x, schedule: 1h}", "`schedule` must be a mapping"),
        ("{jobs: {a: {image: x}}, image: x}", "1:25: `image` stands beside `jobs`"),
        ("{jobs: {a: {image: x}}, joobs: x}", "`joobs` is not a key of a job file with several"),
        ("{jobs: {a: {image: x, name: b}}}", "leave `name` out"),
        ("{jobs: {-A: {image: x}}}", "1:9: the job's name: '-A'"),
        ("{jobs: {a: x}}", "the job `a` must be a mapping, not text"),
        ("{command: a}", "the job has no `image`"),
    ],
)
def test_a_key_in_the_wrong_place_is_told_where_it_belongs(text: str, words: str) -> None:
    found, told = read(text)[0], problems(text)
    assert len(told) == 1
    assert words in told[0]
    assert "jobs" in text or found == []


def test_a_job_with_a_mistake_does_not_hide_those_of_the_others() -> None:
    text = "{jobs: {a: {image: x, cpus: no}, b: {image: y}, c: {imag: z}}}"
    found, told = read(text)
    assert [job.name for job in found] == ["b"]
    assert [p.column for p in told] == [29, 53]


def test_a_missing_image_is_told_only_of_a_job_without_other_mistakes() -> None:
    assert len(problems("{imag: x}")) == 1


def test_only_so_many_mistakes_are_looked_for() -> None:
    many = ", ".join(f"key{n}: 1" for n in range(2 * MOST_PROBLEMS))
    assert len(problems(f"{{image: x, {many}}}")) == MOST_PROBLEMS
    jobs_ = ", ".join(f"j{n}: {{imag: x}}" for n in range(2 * MOST_PROBLEMS))
    assert len(problems(f"jobs: {{{jobs_}}}")) == MOST_PROBLEMS


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("", ""),
        (", volumes: ['/a:/b']", "`volumes` is a container's"),
        (", image: x", "`image` is a container's"),
    ],
)
def test_a_command_without_a_container_has_nothing_of_one(extra: str, words: str) -> None:
    text = f"{{runtime: host, command: [./Train.sh]{extra}}}"
    found, told = read(text)[0], problems(text)
    if words:
        assert words in " ".join(told)
        return
    assert told == []
    assert (found[0].name, found[0].image, found[0].working_dir) == ("train.sh", "", "/base")


def test_a_key_in_which_no_matrix_replaces_says_so_where_it_holds_one() -> None:
    (told,) = problems("{image: x, cpus: '${n}', matrix: {n: [1]}}")
    assert "a matrix replaces in image, command" in told
    (told,) = problems("{image: x, cpus: '${other}', matrix: {n: [1]}}")
    assert "a matrix replaces" not in told
