"""Why a daemon did not start is told to who finds nobody on its socket."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from launcher import last_words
from launcher.client import Client
from launcher.errors import ConfigError, DaemonUnreachable, LauncherError


@pytest.fixture
def socket(tmp_path: Path) -> str:
    return str(tmp_path / "l.sock")


def test_they_are_told_with_what_to_do_until_the_next_start(socket: str) -> None:
    last_words.leave(socket, ConfigError("launcher.toml: unknown key 'x'", fix="Known: y"))
    with pytest.raises(
        DaemonUnreachable, match=r"it could not start at 20.*unknown key 'x'"
    ) as told:
        Client(socket).status()
    assert told.value.fix == "Known: y"
    last_words.clear(socket)
    with pytest.raises(DaemonUnreachable, match="there is no"):
        Client(socket).status()
    last_words.clear(socket)


def test_they_are_cut_and_replaced_whole(socket: str) -> None:
    last_words.leave(socket, LauncherError("é" * 100_000, fix="\u4e2d" * 100_000))
    assert last_words.read(socket) is not None
    assert Path(last_words.path_of(socket)).stat().st_size < last_words.MOST_BYTES
    last_words.leave(socket, LauncherError("short"))
    found = last_words.read(socket)
    assert found is not None
    assert (found[0].endswith(": short"), found[1]) == (True, None)
    assert os.listdir(Path(socket).parent) == ["l.sock.failed"]  # noqa: PTH208


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"at": 1, "message": 2}', "\0", "{" * 10_000])
def test_what_is_not_theirs_is_not_told(text: str, socket: str) -> None:
    Path(last_words.path_of(socket)).write_text(text)
    assert last_words.read(socket) is None


def test_a_pipe_in_their_place_holds_nobody_up(socket: str) -> None:
    os.mkfifo(last_words.path_of(socket))
    assert last_words.read(socket) is None


def test_everybody_may_read_them_whatever_the_umask(socket: str) -> None:
    before = os.umask(0o077)
    try:
        last_words.leave(socket, LauncherError("x"))
    finally:
        os.umask(before)
    assert Path(last_words.path_of(socket)).stat().st_mode & 0o777 == 0o644


def test_what_another_user_wrote_is_not_believed(socket: str) -> None:
    file = Path(last_words.path_of(socket))
    file.write_text(json.dumps({"at": "now", "message": "call 0900", "fix": None}))
    os.chown(file, 5, 5)
    assert last_words.read(socket) is None


def test_a_place_that_cannot_be_written_is_no_error() -> None:
    last_words.leave("/proc/nowhere/l.sock", LauncherError("x"))
