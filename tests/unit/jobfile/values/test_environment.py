"""Variables that a job may set, ``KEY=VALUE`` words, and the lines of env files."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.jobfile.values.environment import (
    MAX_FILE_BYTES,
    check_variable,
    parse_assignment,
    parse_lines,
    read_env_file,
)


def pairs(text: str, *, quotes: bool, **client: str) -> list[object]:
    """Return the variables of an env file, or the number of a line that is wrong."""
    return [
        number if isinstance(found, ValueError) else found
        for number, found in parse_lines(text, client, quotes=quotes)
    ]


@pytest.mark.parametrize("name", ["A", "_a1", "LDX", "LAUNCHER", "CUDA_VISIBLE_DEVICES_", "NVIDIA"])
def test_a_variable_that_only_resembles_a_refused_one_is_allowed(name: str) -> None:
    assert check_variable(name) == name


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a b", "A\n", "\u00c4", "A="])
def test_what_a_shell_could_not_set_is_not_a_name(name: str) -> None:
    with pytest.raises(ValueError, match="is not a valid variable name"):
        check_variable(name)


@pytest.mark.parametrize(
    "name",
    ["NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES", "LD_PRELOAD", "LD_", "LAUNCHER_JOB_ID",
     "GLIBC_TUNABLES", "GCONV_PATH", "DOCKER_RESOURCE_GPU"],
)  # fmt: skip
def test_what_decides_on_gpus_or_libraries_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} cannot be set by a job: "):
        check_variable(name)


def test_an_assignment_has_all_after_the_first_equals_sign() -> None:
    assert parse_assignment("A=b=c ", {}) == ("A", "b=c ")
    assert parse_assignment("A=", {"A": "client"}) == ("A", "")


def test_a_bare_name_takes_the_clients_value_or_is_not_set() -> None:
    assert parse_assignment("A", {"A": "x"}) == ("A", "x")
    assert parse_assignment("A", {}) is None


def test_a_value_that_is_not_text_is_refused_without_showing_it() -> None:
    with pytest.raises(ValueError, match="the value of A is not UTF-8 text"):
        parse_assignment("A", {"A": "\udcff"})


def test_blank_lines_and_comments_count_as_lines_and_set_nothing() -> None:
    text = "# a\n\n  A=1\r\nbad name=2\nB=3"
    assert pairs(text, quotes=False) == [("A", "1"), 4, ("B", "3")]


def test_only_a_line_break_ends_a_line() -> None:
    assert pairs("A=1\u2028B\x0cC\x85D", quotes=False) == [("A", "1\u2028B\x0cC\x85D")]


@pytest.mark.parametrize(
    ("line", "docker", "compose"),
    [
        ("A='x y'", "'x y'", "x y"),
        ('A="x\\ny"', '"x\\ny"', "x\ny"),
        ("A='x\\ny'", "'x\\ny'", "x\\ny"),
        ("A=x # why", "x # why", "x"),
        ("A=x#y", "x#y", "x#y"),
        ("A='x' # why", "'x' # why", "x"),
        ("A= x ", " x ", "x"),
        ('A="x', '"x', '"x'),
    ],
)
def test_quotes_and_comments_are_those_of_compose_or_part_of_the_value(
    line: str, docker: str, compose: str
) -> None:
    assert pairs(line, quotes=False) == [("A", docker)]
    assert pairs(line, quotes=True) == [("A", compose)]


def test_compose_reads_lines_that_a_shell_exports() -> None:
    assert pairs("export A=1", quotes=True) == [("A", "1")]
    assert pairs("export A=1", quotes=False) == [1]


def test_the_clients_own_value_is_taken_as_it_is() -> None:
    for quotes in (False, True):
        assert pairs("A", quotes=quotes, A="'x' # y") == [("A", "'x' # y")]


def test_an_env_file_is_text_of_limited_size(tmp_path: Path) -> None:
    file = tmp_path / "vars"
    for content, words in (
        (b"A=\xff", "is not UTF-8 text"),
        (b"A=\0", "is not text"),
        (b"#" * (MAX_FILE_BYTES + 1), "is over 256 KiB"),
    ):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=words):
            read_env_file(file)
    file.write_bytes(b"\xef\xbb\xbfA=1")
    assert read_env_file(file) == "A=1"
    with pytest.raises(ValueError, match="cannot read the env file"):
        read_env_file(tmp_path)
