"""Secrets of a job file: read by who submits, told by line and column where they are wrong."""

from __future__ import annotations

import base64
import os
import threading
from pathlib import Path

import pytest

from launcher.jobfile.reading.files import load_text
from launcher.jobfile.values.secret_files import parse_secret
from launcher.wire import JobSpec

MOST = JobSpec.MOST_SECRET_BYTES


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> Path:
    """Secrets beside a job file."""
    (tmp_path / "token").write_bytes(b"hid\0den\xff")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "large").write_bytes(b"x" * (MOST + 1))
    (tmp_path / "full").write_bytes(b"x" * MOST)
    (tmp_path / "folder").mkdir()
    return tmp_path


def said(base: Path, text: str) -> str:
    jobs, problems = load_text(f"image: a\n{text}".encode(), "f.yaml", base, client={})
    assert not jobs
    return "\n".join(str(each) for each in problems)


def test_what_is_in_the_files_goes_along_byte_by_byte(files: Path) -> None:
    text = f"image: a\nsecrets: {{token: token, e.1: ./empty, far_-: {files}/full, x-note: no}}\n"
    ((job,), problems) = load_text(text.encode(), "f.yaml", files, client={})
    assert problems == []
    found = {name: base64.b64decode(content or "") for name, content in job.secrets.items()}
    assert found == {"token": b"hid\0den\xff", "e.1": b"", "far_-": b"x" * MOST}
    assert job.without_contents().secrets == {"token": None, "e.1": None, "far_-": None}
    assert job.secrets["token"] not in repr(job)


def test_a_file_of_home_is_found(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(files))
    text = b"image: a\nsecrets: {token: ~/token}\n"
    ((job,), _) = load_text(text, "f.yaml", files / "folder", client={})
    assert job.secrets["token"] == base64.b64encode(b"hid\0den\xff").decode()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("secrets:\n  token: gone", "f.yaml:3:10: cannot read the secret gone: No such file"),
        ("secrets:\n  token: folder", "f.yaml:3:10: cannot read the secret folder: Is a dir"),
        ("secrets: {token: large}", "f.yaml:2:18: the secret large is over 64 KiB"),
        ("secrets:\n  .token: token", "f.yaml:3:3: `secrets`: '.token' is not a valid name"),
        ("secrets:\n  a/b: token", "f.yaml:3:3: `secrets`: 'a/b' is not a valid name"),
        ("secrets:\n  token:", "f.yaml:3:9: the file of the secret token must be text"),
        ("secrets: [token]", "f.yaml:2:10: `secrets` must be a mapping"),
        ("secrets: token", "f.yaml:2:10: `secrets` must be a mapping"),
        ("schedule: {secrets: {a: token}}", "`secrets` belongs to the job, not under `schedule`"),
    ],
)
def test_what_is_wrong_is_told_where_it_stands(files: Path, text: str, error: str) -> None:
    told = said(files, text)
    assert error in told
    assert "hid" not in told


def test_a_seventeenth_secret_is_refused_where_it_stands(files: Path) -> None:
    lines = "".join(f"  s{number}: token\n" for number in range(17))
    assert "f.yaml:19:8: a job may have 16 secrets" in said(files, f"secrets:\n{lines}")


def test_a_matrix_does_not_replace_in_secrets(files: Path) -> None:
    told = said(files, "matrix: {n: [a, b]}\nsecrets: {token: 'tok-${n}'}")
    assert "a matrix replaces in image" in told


def test_the_elements_of_a_matrix_share_their_secrets(files: Path) -> None:
    text = b"image: a\nmatrix: {n: [a, b]}\nsecrets: {token: token}\n"
    ((job,), _) = load_text(text, "f.yaml", files, client={})
    assert job.array is not None
    assert list(job.secrets) == ["token"]


@pytest.mark.parametrize(
    ("word", "error"),
    [
        ("token", "names no file: write NAME=FILE"),
        ("token=", "names no file"),
        ("=x", "'' is not a valid name of a secret"),
        ("../x=token", "is not a valid name of a secret"),
        ("token=/no/such/file", "cannot read the secret /no/such/file"),
    ],
)
def test_a_flag_that_names_no_secret_is_refused(word: str, error: str) -> None:
    with pytest.raises(ValueError, match=r"secret|NAME=FILE") as caught:
        parse_secret(word)
    assert error in str(caught.value)


def test_a_flag_takes_what_comes_out_of_a_pipe(files: Path) -> None:
    """As of ``--secret token=<(command)``."""
    pipe = files / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"from a command",))
    writer.start()
    assert parse_secret(f"token={pipe}") == ("token", base64.b64encode(b"from a command").decode())
    writer.join()
