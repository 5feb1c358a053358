"""``extends``: what a service takes over from another one of its file."""

from __future__ import annotations

import pytest

from launcher.spec.job_spec import Mount
from tests.unit.jobfile.compose.files import Reading, names

BASE = """\
services:
  base:
    image: x
    command: [a, b]
    environment: {A: base, B: base}
    volumes: [/one:/one, /two:/two]
    depends_on: [other]
    profiles: [base]
    deploy: {resources: {limits: {cpus: '1', memory: 1g}}}
  other: {image: x}
"""


def extended(keys: str, *services: str) -> Reading:
    return Reading(f"{BASE}  own:\n    extends: {{service: base}}\n{keys}", *(services or ("own",)))


def test_a_service_takes_over_what_it_does_not_say() -> None:
    job = extended("    cpus: 1\n").job
    assert (job.image, job.command, job.cpus, job.mem_limit) == ("x", ("a", "b"), 1.0, 1 << 30)
    short = Reading(BASE + "  own: {extends: base}\n", "own")
    assert short.job.command == ("a", "b")


def test_what_it_says_is_merged_as_compose_merges() -> None:
    job = extended(
        "    command: c\n    environment: [B=own, C=own]\n"
        "    volumes: [/new:/two:ro, {type: bind, source: /three, target: /three}]\n"
        "    deploy: {resources: {limits: {memory: 2g}}}\n    image:\n"
    ).job
    assert job.command == ("c",)
    assert job.environment == {"A": "base", "B": "own", "C": "own"}
    assert job.volumes == (
        Mount("/one", "/one"), Mount("/new", "/two", read_only=True), Mount("/three", "/three"),
    )  # fmt: skip
    assert (job.cpus, job.mem_limit, job.image) == (1.0, 2 << 30, "x")


def test_dependencies_and_profiles_are_taken_over() -> None:
    reading = extended("    depends_on: {other: {condition: service_completed_successfully}}\n",
                       "own", "other")  # fmt: skip
    assert {job.name: job.depends_on for job in reading.jobs}["own"] == {"other": "afterok"}
    assert names(extended("", "base", "other", "own").jobs) == ["base", "other", "own"]
    plain = Reading(f"{BASE}  own: {{extends: base}}\n")
    assert names(plain.jobs) == ["other"]


def test_services_extend_services_that_extend() -> None:
    text = "services:\n  c: {extends: b, command: c}\n  b: {extends: a, cpus: 2}\n  a: {image: x}\n"
    job = Reading(text, "c").job
    assert (job.image, job.cpus, job.command) == ("x", 2.0, ("c",))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: {extends: a}", "`a` extends itself"),
        ("a: {extends: b}\n  b: {extends: a}", "extends itself"),
        ("a: {extends: imag}\n  image: {image: x}", "did you mean `image`?"),
        ("a: {extends: {file: x.yaml, service: b}}", "`extends: file`: other files are not read"),
        ("a: {extends: {}}", "`extends` needs a `service`"),
        ("a: {extends: [b]}", "`extends` must be text"),
        ("a: {extends: b, volumes: {}}\n  b: {image: x, volumes: []}", "`volumes` must be a list"),
        (
            "a: {extends: b, environment: [[]]}\n  b: {image: x, environment: [A]}",
            "a variable must",
        ),
        ("a: {extends: b}\n  b: {privileged: true, image: x}", "a job cannot have `privileged`"),
    ],
)
def test_what_cannot_be_extended_is_told(text: str, said: str) -> None:
    assert said in "\n".join(Reading(f"services:\n  {text}\n").said)


def test_what_else_is_wrong_with_a_service_that_cannot_extend_is_told_too() -> None:
    keys = "{extends: {file: x.yaml, service: b}, pid: host, command: '${A:?}'}"
    said = Reading(f"services: {{a: {keys}}}").said
    assert [each.split(": ")[0] for each in said] == ["1:16", "1:53", "1:73"]


def test_what_is_taken_over_counts_towards_the_limits_of_a_file() -> None:
    many = "".join(f"  s{n}: {{extends: base}}\n" for n in range(900))
    long = Reading(f"services:\n  base: {{image: x, command: [{'a, ' * 9_000}b]}}\n{many}")
    assert "with what `extends` takes over the file has more than 20000 values" in long.said[0]
    wide = Reading(f"services:\n  base: {{image: x, command: [{'a' * 100_000}]}}\n{many}")
    assert "256 KiB" in wide.said[0]
    assert len(long.said) <= 51
    chain = "".join(f"  s{n}: {{extends: s{n + 1}}}\n" for n in range(900))
    assert (
        "more than 20 services extend"
        in Reading(f"services:\n{chain}  s900: {{image: x}}\n").said[0]
    )
