"""Which dockerd answers, and since when it runs."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from launcher.dockerd import dockerd_pid, socket_was_replaced
from launcher.engine.dockerd_identity import DockerdIdentity, incarnation

OTHER, THIRD = 2**22 + 1, 2**22 + 2


def proc(tmp_path: Path, **names: str) -> Path:
    """A /proc in which this process and others have these names."""
    place = tmp_path / "proc"
    pids = {"me": os.getpid(), "other": OTHER, "third": THIRD}
    for who, name in names.items():
        entry = place / str(pids[who])
        entry.mkdir(parents=True)
        (entry / "comm").write_text(f"{name}\n")
        (entry / "stat").write_text(Path(f"/proc/{os.getpid()}/stat").read_text())
    (place / "version").write_text("Linux")
    return place


def test_who_made_the_socket_is_dockerd_even_where_there_are_two(
    listening: str, tmp_path: Path
) -> None:
    assert dockerd_pid(listening, 1.0, proc(tmp_path, me="dockerd", other="dockerd")) == os.getpid()


def test_behind_a_socket_that_systemd_made_it_is_the_one_dockerd_there_is(
    listening: str, tmp_path: Path
) -> None:
    assert dockerd_pid(listening, 1.0, proc(tmp_path, me="systemd", other="dockerd")) == OTHER


def test_behind_a_socket_that_a_proxy_made_none_is_guessed(listening: str, tmp_path: Path) -> None:
    assert dockerd_pid(listening, 1.0, proc(tmp_path, me="socat", other="dockerd")) is None


def test_a_users_process_of_that_name_behind_systemds_socket_is_not_dockerd(
    listening: str, tmp_path: Path
) -> None:
    place = proc(tmp_path, me="systemd", other="dockerd", third="dockerd")
    os.chown(place / str(THIRD), 65534, 65534)
    assert dockerd_pid(listening, 1.0, place) == OTHER
    os.chown(place / str(OTHER), 65534, 65534)
    assert dockerd_pid(listening, 1.0, place) is None


def test_of_two_behind_systemds_socket_none_is_guessed(listening: str, tmp_path: Path) -> None:
    place = proc(tmp_path, me="systemd", other="dockerd", third="dockerd")
    assert dockerd_pid(listening, 1.0, place) is None
    assert incarnation(listening, 1.0, place) is None


def test_while_nobody_listens_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        incarnation(f"unix://{tmp_path}/nowhere.sock", 1.0)


def test_a_life_begins_when_its_process_did(listening: str, tmp_path: Path) -> None:
    found = incarnation(listening, 1.0, proc(tmp_path, me="dockerd"))
    assert found is not None
    assert found.pid == os.getpid()
    assert time.time() - 3600 * 24 < found.started_at <= time.time()


def test_two_lives_of_one_pid_differ_and_a_set_clock_makes_no_new_one() -> None:
    assert DockerdIdentity(7, 100, 5.0) == DockerdIdentity(7, 100, 6.0)
    assert DockerdIdentity(7, 100, 5.0) != DockerdIdentity(7, 101, 5.0)


def test_a_socket_that_was_made_anew_is_not_the_one_that_is_mounted_here(tmp_path: Path) -> None:
    """An open file stands for the mount: it keeps the inode that dockerd has removed."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/tmp/launcher-replaced-{os.getpid()}.sock")
        path = Path(listener.getsockname())
        host = f"unix:///proc/self/fd/{os.open(path, os.O_PATH)}"
        assert not socket_was_replaced(host)
        path.unlink()
        assert socket_was_replaced(host)
        assert not socket_was_replaced(f"unix://{path}")
