"""Env files on disk: as Compose reads them, or raw as docker does; sizes and encodings."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.jobfile.variables.env_files import MAX_FILE_BYTES, EnvFileError, read_env_file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "vars"


def pairs(file: Path, text: str, *, raw: bool = False, **client: str) -> dict[str, str]:
    """Return the variables of an env file."""
    file.write_bytes(text.encode())
    result: dict[str, str] = {}
    assert not list(read_env_file(file, client, result, raw=raw))
    return result


@pytest.mark.parametrize(
    ("line", "docker", "compose"),
    [
        ("A='x y'", "'x y'", "x y"),
        ('A="x\\ny"', '"x\\ny"', "x\ny"),
        ("A=x # why", "x # why", "x"),
        ("A=x#y", "x#y", "x#y"),
        ("A= x ", " x ", "x"),
        ("A=$B$$", "$B$$", "b$"),
    ],
)
def test_a_value_is_read_as_compose_reads_it_and_raw_as_docker_does(
    file: Path, line: str, docker: str, compose: str
) -> None:
    assert pairs(file, line, B="b") == {"A": compose}
    assert pairs(file, line, raw=True, B="b") == {"A": docker}


def test_raw_lines_end_where_docker_ends_them(file: Path) -> None:
    text = "# a\n\n  A=1\u2028B\x0cC\x85D\r\nE\nF"
    assert pairs(file, text, raw=True, E="'x'") == {"A": "1\u2028B\x0cC\x85D", "E": "'x'"}


@pytest.mark.parametrize("raw", [False, True])
def test_a_name_that_a_job_may_not_set_is_refused_with_its_line(file: Path, raw: bool) -> None:
    for name in ("LD_PRELOAD", "FOO.BAR", "456"):
        with pytest.raises(EnvFileError, match=name) as error:
            pairs(file, f"A=1\n\n{name}=x", raw=raw)
        assert error.value.line == 3


def test_a_later_line_uses_the_values_of_earlier_ones_and_the_clients_go_first(file: Path) -> None:
    assert pairs(file, "R=/a\nD=${R}/train", R="/b") == {"R": "/a", "D": "/b/train"}
    assert pairs(file, "R=/a\nD=${R}/train") == {"R": "/a", "D": "/a/train"}


def test_a_variable_that_is_not_set_is_reported_with_its_line(file: Path) -> None:
    file.write_text("A=1\nPASSWORD=a$b$b\n")
    result: dict[str, str] = {}
    assert list(read_env_file(file, {}, result)) == [(2, "b")]
    assert result == {"A": "1", "PASSWORD": "a"}


def test_an_escape_that_makes_a_nul_is_refused(file: Path) -> None:
    with pytest.raises(EnvFileError, match="holds a NUL"):
        pairs(file, 'A="\\0000"')


def test_an_env_file_is_text_of_limited_size(file: Path) -> None:
    for content, words in (
        (b"A=\xff", "is not UTF-8 text"),
        (b"A=\0", "is not text"),
        (b"#" * (MAX_FILE_BYTES + 1), "is over 256 KiB"),
    ):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=words):
            list(read_env_file(file, {}, {}))
    assert pairs(file, "\ufeffA=1") == {"A": "1"}
    with pytest.raises(ValueError, match="cannot read the env file"):
        list(read_env_file(file.parent, {}, {}))
