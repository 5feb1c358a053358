"""Any text gives jobs that survive JSON, or one error that says where."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher.client.decode import decode
from launcher.errors import JobFileError
from launcher.jobfile.reading.files import load_text
from launcher.jobfile.values import array_spec, gpu_spec, retry_spec, signals, units
from launcher.wire import JobSpec
from tests.support.plain_work import cost
from tests.support.whole import many

WORDS = st.sampled_from([
    "image", "name", "jobs", "gpus", "schedule", "command", "environment", "volumes", "x-a", "cpus",
    "busybox", "1g.6gb", "4h", "010", "true", "null", "~", "a", "", "'", '"', "[", "]", "{", "}",
    ":", ": ", "- ", "\n", "\n  ", "\n    ", "&a", "*a", "!!x", "<<", "|", ">", "#", "?", ",", "%",
    "---", "...", "\t", "\0", "\r", "\ufeff", "é", "8g", "${x}", "@", "`",
])  # fmt: skip
LINES = st.sampled_from([
    "image: busybox\n", "name: a\n", "gpus: 1g.6gb\n", "command: echo 'x y'\n", "cpus: 2\n",
    "jobs:\n", "  a:\n", "    image: x\n", "    gpus: {memory: 10g}\n", "volumes: ['./a:/b']\n",
    "environment: {A: 1, B: }\n", "schedule: {priority: 3}\n", "schedule:\n  time_limit: 4h\n",
    "x-a: [1, {b: c}]\n", "user: 1000\n", "entrypoint: ''\n", "mem_limit: 24g\n",
    "array: 0-9:2%3\n", "matrix: {a: [1, 0.10], exclude: [{a: 1}]}\n", "max_parallel: 2\n",
    "matrix:\n  x: [${a}]\n  include: [{b: 1}]\n", "working_dir: ${x}\n",
    "schedule: {retries: 2, preemptible: true, signal: USR1@1m}\n", "command: run ${a}\n",
    "schedule:\n  retries: {max: 1, on: [oom, exit:75], backoff: 1s}\n", "gpus: 10g\n",
    "schedule: {idle_timeout: 5m, time_limit: 4h, signal: {name: TERM, before: 1h}}\n",
])  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=200),
    st.lists(WORDS, max_size=40).map("".join),
    st.lists(st.one_of(LINES, WORDS), max_size=12).map("".join),
    st.lists(LINES, max_size=8, unique=True).map("".join),
)
SETTINGS = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=many(300, 1000)
)


def load(data: bytes) -> tuple[list[JobSpec], list[JobFileError]]:
    """Return what the command makes of a file of these bytes."""
    try:
        return load_text(data, "f.yaml", Path("/base"), client={"B": "b"})
    except JobFileError as error:
        return [], [error]


@SETTINGS
@given(TEXTS)
def test_any_text_is_jobs_or_an_error_with_a_line(text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    jobs, problems = load(data)
    assert cost(lambda: load(data)) < 100
    assert bool(jobs) or bool(problems)
    for problem in problems:
        assert problem.line >= 1
        assert problem.column >= 1
        assert problem.message.startswith(f"f.yaml:{problem.line}:{problem.column}: ")
    for job in jobs:
        text = json.dumps(dataclasses.asdict(job), allow_nan=False)
        assert text.encode()
        assert decode(JobSpec, json.loads(text)) == job


@SETTINGS
@given(st.one_of(st.text(max_size=30), st.from_regex(r"\A[0-9a-zA-Z:.+,-]{0,20}\Z")))
def test_every_unit_parser_returns_or_says_what_is_wrong(text: str) -> None:
    for parse in (
        units.parse_duration,
        units.parse_size,
        units.parse_count,
        units.parse_cpus,
        units.parse_priority,
        gpu_spec.parse_spec,
        gpu_spec.parse_memory,
        gpu_spec.parse_profile,
        array_spec.parse_array,
        array_spec.parse_max_parallel,
        retry_spec.parse_retries,
        retry_spec.parse_retry_on,
        signals.parse_signal,
    ):
        try:
            parse(text)
        except ValueError as error:
            assert str(error)


@given(st.integers(0, 365), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_a_time_is_the_same_in_both_spellings(d: int, h: int, m: int, s: int) -> None:
    clock = units.parse_duration(f"{d}-{h:02}:{m:02}:{s:02}")
    assert clock == units.parse_duration(f"{d}d{h}h{m}m{s}s")
