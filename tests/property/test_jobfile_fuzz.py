"""Job files as hostile input: any bytes are jobs that survive the wire, or errors that say where.

Corpus: the files of ``nasty/``, whose first line says what is expected, and those of
``make_nasty``.
"""

from __future__ import annotations

import dataclasses
import json
import re
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from launcher.client.decode import decode
from launcher.daemon.requests import convert
from launcher.errors import JobFileError
from launcher.jobfile.reading.files import load_files, load_text
from launcher.spec.command_line import split_command
from launcher.wire import JobSpec
from tests.property.make_nasty import made
from tests.support.plain_work import cost
from tests.support.whole import many

FOLDER = Path(__file__).with_name("nasty")
MOST_TIMES = 30  # of some plain work; the worst takes four
MOST_BYTES = 50 * 2**20
SETTINGS = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=many(150, 1000)
)


def kept() -> Iterator[tuple[str, bytes, str | None]]:
    for file in sorted(FOLDER.glob("*.yaml")):
        data = file.read_bytes()
        found = re.match(rb"# expect: (.*)\n", data)
        assert found is not None, f"{file} does not say what it expects"
        said = found[1].decode()
        yield file.stem, data, None if said == "a job" else said


CORPUS = {name: (data, said) for name, data, said in (*kept(), *made())}


def read(data: bytes) -> tuple[list[JobSpec], list[JobFileError]]:
    """Return what the command makes of a file of these bytes."""
    try:
        return load_text(data, "f.yaml", Path("/base"), client={})
    except JobFileError as error:
        return [], [error]


def must_be_jobs_or_errors(data: bytes) -> None:
    jobs, problems = read(data)
    assert bool(jobs) or bool(problems)
    lines = data.count(b"\n") + data.count(b"\r") + 2
    for problem in problems:
        assert 1 <= problem.line <= lines
        assert problem.column >= 1
        assert problem.message.startswith(f"f.yaml:{problem.line}:{problem.column}: ")
        problem.message.encode()
        assert len(problem.message) < 2000
    for job in jobs:
        text = json.dumps(dataclasses.asdict(job), allow_nan=False)
        assert decode(JobSpec, json.loads(text)) == job
        assert convert.parse(JobSpec, text.encode()) == job
        named = job.without_contents()
        assert convert.parse_document(convert.document(named)) == named


@pytest.mark.parametrize("name", CORPUS)
def test_a_nasty_file_is_refused_with_what_is_wrong_or_is_a_job(name: str, tmp_path: Path) -> None:
    data, said = CORPUS[name]
    file = tmp_path / "f.yaml"
    file.write_bytes(data)
    if said is None:
        assert load_files([str(file)])
    else:
        with pytest.raises(JobFileError) as caught:
            load_files([str(file)])
        assert said in caught.value.message
        assert caught.value.message.count("\n") <= 20
    must_be_jobs_or_errors(data)


def test_there_are_nasty_files_enough() -> None:
    assert len(CORPUS) >= 100
    assert len([*kept()]) >= 40


def test_a_nasty_file_costs_neither_time_nor_memory(tell: Callable[[object], None]) -> None:
    worst_time, worst_memory = (0.0, ""), (0, "")
    for name, (data, _) in CORPUS.items():
        taken = cost(partial(read, data), MOST_TIMES)
        tracemalloc.start()
        read(data)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        worst_time, worst_memory = max(worst_time, (taken, name)), max(worst_memory, (peak, name))
    tell(
        f"nasty job files: {len(CORPUS)} tried, the slowest took {worst_time[0]:.1f} times plain"
        f" work ({worst_time[1]}), the largest {worst_memory[0] / 2**20:.1f} MB ({worst_memory[1]})"
    )
    assert worst_time[0] < MOST_TIMES, worst_time
    assert worst_memory[0] < MOST_BYTES, worst_memory


@SETTINGS
@given(st.binary(max_size=300))
def test_any_bytes_are_jobs_or_errors(data: bytes) -> None:
    must_be_jobs_or_errors(data)


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
    st.sampled_from([
        "busybox", "1g.6gb", "4h", "8g", "${a}", "${b:-1}", "$$", "all", "0-9", "a:b", "/x",
        "infra", "1",
    ]),
)  # fmt: skip
KEYS = st.one_of(
    st.text(max_size=10),
    st.sampled_from([
        "image", "name", "jobs", "gpus", "schedule", "command", "environment", "volumes", "cpus",
        "matrix", "array", "exclude", "include", "depends_on", "retries", "signal", "x-a", "max",
        "time_limit", "priority", "begin", "hold", "profile", "count", "memory", "env_file", "a",
        "services", "deploy", "resources", "reservations", "limits", "devices", "secrets", "tmpfs",
        "ports", "restart", "privileged", "profiles", "runtime", "platform", "x-launcher", "build",
    ]),
)  # fmt: skip
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)


@SETTINGS
@given(st.dictionaries(KEYS, TREES, max_size=6), st.booleans())
def test_any_structure_is_jobs_or_errors(tree: dict[str, object], with_image: bool) -> None:
    whole = {"image": "busybox", **tree} if with_image else tree
    must_be_jobs_or_errors(json.dumps(whole, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    must_be_jobs_or_errors(json.dumps(whole).encode())
    compose = {"services": {"a": whole}, **tree}
    must_be_jobs_or_errors(json.dumps(compose).encode())


@SETTINGS
@given(st.sampled_from(sorted(CORPUS)), st.integers(0, 1000), st.binary(max_size=4))
def test_a_nasty_file_that_is_changed_somewhere_is_jobs_or_errors(
    name: str, at: int, other: bytes
) -> None:
    data = CORPUS[name][0][:2000]
    at = at % (len(data) + 1)
    must_be_jobs_or_errors(data[:at] + other + data[at + len(other) :])


@SETTINGS
@given(st.text(alphabet="ab '\"\\\n\t#é\u00a0$`", max_size=30))
@example("`'")
def test_a_command_is_split_as_the_standard_library_splits_it(text: str) -> None:
    import shlex

    try:
        wanted = shlex.split(text)
    except ValueError:
        with pytest.raises(ValueError, match="cannot be split"):
            split_command(text)
        return
    assert split_command(text) == wanted
