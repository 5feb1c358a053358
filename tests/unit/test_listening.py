"""Listening sockets: a shortage of descriptors, directories, and the shares of users."""

from __future__ import annotations

import contextlib
import os
import pwd
import resource
import selectors
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher import listening as module
from launcher.listening import Acceptor, listening, most_of_user, own_directory

NOBODY = pwd.getpwnam("nobody").pw_uid


class Loop:
    """An event loop of one listening socket, as the helpers have one; it counts its turns."""

    def __init__(self, listener: socket.socket) -> None:
        self.selector = selectors.DefaultSelector()
        self.listener = listener
        self.reports: list[str] = []
        self.accepted: list[socket.socket] = []
        self.turns = 0
        self.acceptor = Acceptor(listener, self._watch, self.reports.append)

    def _watch(self, on: bool) -> None:
        if on:
            self.selector.register(self.listener, selectors.EVENT_READ)
        else:
            self.selector.unregister(self.listener)

    def run(self, seconds: float) -> None:
        """Run for some seconds, or until a connection is accepted."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self.accepted:
            patience = self.acceptor.patience()
            self.turns += 1
            if self.selector.select(left if patience is None else min(left, patience)):
                self._accept()
            self.acceptor.resume_if_due()

    def _accept(self) -> None:
        if (connection := self.acceptor.accept()) is not None:
            self.accepted.append(connection)

    def close(self) -> None:
        self.selector.close()
        for each in self.accepted:
            each.close()


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    with tempfile.TemporaryDirectory() as place, listening(f"{place}/s", 0o600) as listener:
        made = Loop(listener)
        yield made
        made.close()


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    """Leave this process without a free descriptor."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_loop_without_free_descriptors_rests_says_so_once_and_goes_on(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.05)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(loop.listener.getsockname())
        with no_descriptors():
            loop.run(0.5)
        assert 2 < loop.turns < 50, "it neither spins nor gives up"
        (report,) = loop.reports
        assert report == "cannot accept connections, trying again: Too many open files"
        loop.run(10)
        assert len(loop.accepted) == 1


def test_a_listener_that_was_closed_during_the_pause_is_not_watched_again(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(loop.listener.getsockname())
        with no_descriptors():
            assert loop.acceptor.accept() is None
        loop.listener.close()
        loop.acceptor.resume_if_due()
        assert not loop.selector.get_map()


@pytest.mark.parametrize("mode", [0o600, 0o666])
@pytest.mark.parametrize("umask", [0o077, 0o000])
def test_a_socket_gets_its_mode_whatever_the_umask(mode: int, umask: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        path, modes = f"{place}/s", list[int]()

        class Bound(socket.socket):
            """Records the mode of the file as soon as it exists."""

            def bind(self, address: Any) -> None:
                super().bind(address)
                modes.append(Path(path).stat().st_mode & 0o777)

        before = os.umask(umask)
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(socket, "socket", Bound)
                listening(path, mode).close()
        finally:
            os.umask(before)
        assert modes == [mode & ~umask]
        assert Path(path).stat().st_mode & 0o777 == mode


def test_a_directory_gets_its_mode_whatever_the_umask(tmp_path: Path) -> None:
    place = tmp_path / "below" / "place"
    before = os.umask(0o077)
    try:
        own_directory(place, 0o755)
    finally:
        os.umask(before)
    assert place.stat().st_mode & 0o777 == 0o755
    own_directory(place, 0o700)
    assert place.stat().st_mode & 0o777 == 0o700


def test_a_symlink_or_a_file_in_place_of_a_directory_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir(0o700)
    (tmp_path / "linked").symlink_to(target)
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="linked is a symlink and not a directory"):
        own_directory(tmp_path / "linked", 0o755)
    with pytest.raises(FileExistsError):
        own_directory(tmp_path / "file", 0o755)
    assert target.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.getuid() != 0, reason="needs a second user")
def test_another_users_directory_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, NOBODY, -1)
    with pytest.raises(PermissionError, match=f"belongs to uid {NOBODY} and not to uid 0"):
        own_directory(tmp_path, 0o755)


def test_users_who_take_all_they_get_leave_some_to_others() -> None:
    held: dict[int, int] = {}

    def take_all(uid: int) -> int:
        held.setdefault(uid, 0)
        while held[uid] < most_of_user(64, 1024 - sum(held.values())):
            held[uid] += 1
        return held[uid]

    assert [take_all(uid) for uid in range(8)] == [64] * 8
    assert 64 > take_all(8) > 40
    for uid in range(9, 20):
        take_all(uid)
    assert take_all(20) > 5
    assert sum(held.values()) < 1024
    assert most_of_user(64, 1) == 1
    assert most_of_user(64, 0) == 0
