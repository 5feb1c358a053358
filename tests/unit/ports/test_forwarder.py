"""Ports of jobs: where their sockets are and whose; one connection harms no other one."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import pwd
import socket
import struct
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher.listening import listening
from launcher.ports import __main__ as main
from launcher.ports.forwarder import Forwarder, Forwarding

RESETS = struct.pack("ii", 1, 0)
"""SO_LINGER for which a close is a reset (socket(7))."""


def close(forwarding: Forwarding) -> None:
    for listener in forwarding.listeners:
        asyncio.get_running_loop().remove_reader(listener)
        listener.close()


@contextlib.asynccontextmanager
async def opened(
    directory: Path, server: int, **request: object
) -> AsyncIterator[tuple[Forwarder, Forwarding, dict[str, Any]]]:
    """Yield a forwarder with a port open that leads to a server here, and how it is reached."""
    forwarder = Forwarder(directory)
    forwarding = Forwarding("12.1", os.getuid(), -1, None, "127.0.0.1")
    try:
        yield forwarder, forwarding, forwarder._listen(forwarding, server, request)
    finally:
        close(forwarding)


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def owner_and_mode(path: str) -> tuple[int, int]:
    status = Path(path).stat()
    return status.st_uid, status.st_mode & 0o777


def run(body: Coroutine[None, None, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(30):
            await body

    asyncio.run(limited())


@pytest.fixture
def short_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        yield Path(place)


async def reaches(path: str, server: socket.socket) -> bool:
    """Whether what is sent to a socket comes to the server."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX) as client:
        client.setblocking(False)
        await loop.sock_connect(client, path)
        accepted, _ = await loop.sock_accept(server)
        with accepted:
            accepted.setblocking(False)
            await loop.sock_sendall(client, b"sent")
            return await loop.sock_recv(accepted, 10) == b"sent"


def test_without_a_free_port_of_the_machine_the_socket_works_and_the_reason_is_said(
    short_path: Path,
) -> None:
    async def body() -> None:
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_server(("127.0.0.1", 0)) as taken,
        ):
            server.setblocking(False)
            port, other = server.getsockname()[1], taken.getsockname()[1]
            pool = (other, other)
            async with opened(short_path, port, loopback=pool) as (_, _, view):
                assert view["trouble"] == f"all loopback ports from {other} to {other} are in use"
                assert view["loopback"] is None
                assert await reaches(view["socket"], server)

    run(body())


def test_a_path_that_is_too_long_for_a_socket_is_said_with_what_to_do(tmp_path: Path) -> None:
    async def body() -> None:
        directory = tmp_path / ("long" * 40)
        async with opened(directory, 80) as (_, forwarding, view):
            assert "and a socket's has 107 at most: set ports_directory" in view["trouble"]
            assert view["socket"] == ""
            assert not forwarding.listeners
            assert names(directory) == set()

    run(body())


def test_sockets_that_a_crash_left_are_removed_and_those_in_use_are_not(short_path: Path) -> None:
    for name in ("7-8888.sock", "8-8888.sock"):
        listening(str(short_path / name), 0o600).close()
    (short_path / "note.txt").touch()
    with listening(str(short_path / "9-8888.sock"), 0o600):
        Forwarder(short_path)
    assert names(short_path) == {"9-8888.sock", "note.txt"}


def test_a_file_in_the_place_of_a_socket_is_replaced(short_path: Path) -> None:
    async def body() -> None:
        kept = short_path / "kept"
        kept.write_text("of the user")
        (short_path / "places").mkdir(0o755)
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.setblocking(False)
            port = server.getsockname()[1]
            (short_path / "places" / f"12-{port}.sock").symlink_to(kept)
            async with opened(short_path / "places", port) as (_, _, view):
                assert await reaches(view["socket"], server)
        assert kept.read_text() == "of the user"

    run(body())


@pytest.mark.skipif(os.getuid() != 0, reason="needs a second user")
def test_the_socket_is_its_owners_and_another_user_is_refused(short_path: Path) -> None:
    owner, other = pwd.getpwnam("daemon").pw_uid, pwd.getpwnam("nobody").pw_uid

    async def body() -> None:
        forwarding = Forwarding("12.1", owner, -1, None, "127.0.0.1")
        view = Forwarder(short_path)._listen(forwarding, 80, {})
        try:
            assert owner_and_mode(view["socket"]) == (owner, 0o600)
            os.chmod(view["socket"], 0o666)  # noqa: PTH101 - as if the kernel did not check
            os.seteuid(other)
            try:
                with socket.socket(socket.AF_UNIX) as client:
                    client.setblocking(False)
                    client.connect(view["socket"])
                    os.seteuid(0)
                    assert await asyncio.get_running_loop().sock_recv(client, 1) == b""
            finally:
                os.seteuid(0)
        finally:
            close(forwarding)

    short_path.chmod(0o755)
    run(body())


def test_above_the_share_of_a_user_connections_are_closed(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launcher.ports.forwarder.MOST_CONNECTIONS", 1)

    async def body() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.setblocking(False)
            async with opened(short_path, server.getsockname()[1]) as (forwarder, by, view):
                with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as more:
                    for client in (first, more):
                        client.setblocking(False)
                        await loop.sock_connect(client, view["socket"])
                    accepted, _ = await loop.sock_accept(server)
                    assert await loop.sock_recv(more, 1) == b""
                    accepted.close()
                    first.close()
                await asyncio.gather(*by.tasks)
                assert not forwarder._connections
                assert await reaches(view["socket"], server)
                await asyncio.gather(*by.tasks)

    run(body())


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (b"no json", "Expecting value"),
        (b"[]", "list indices"),
        (b'{"do": "escape"}', "escape"),
        (b'{"do": "forward", "name": "1.1", "pid": 4194305}', "container"),
    ],
)
def test_a_request_that_is_not_one_gets_an_error(
    short_path: Path, request_: bytes, said: str
) -> None:
    assert said in json.loads(Forwarder(short_path).answer(request_))["error"]


def test_a_process_that_is_not_of_the_container_is_refused(short_path: Path) -> None:
    request = {"do": "forward", "name": "1.1", "uid": 0, "container": "c" * 64, "address": ""}
    request |= {"ports": [80], "pid": os.getpid()}
    forwarder = Forwarder(short_path)
    reply = json.loads(forwarder.answer(json.dumps(request).encode()))
    assert "is not of container cccccccccccc" in reply["error"]
    assert forwarder.is_idle


@pytest.mark.parametrize("kind", ["symlink", "other"])
def test_a_directory_that_is_not_its_own_stops_the_forwarder_with_the_reason(
    short_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place = short_path / "ports"
    if kind == "symlink":
        place.symlink_to(short_path)
    elif os.getuid() != 0:
        pytest.skip("needs a second user")
    else:
        place.mkdir()
        os.chown(place, pwd.getpwnam("nobody").pw_uid, -1)
    words = ["--listen", str(short_path / "s"), "--directory", str(place)]
    assert main.main(words) == 1
    said = {"symlink": "is a symlink", "other": "belongs to uid"}[kind]
    assert said in capsys.readouterr().err


def test_a_container_without_an_address_is_not_this_machine() -> None:
    forwarding = Forwarding("1.1", os.getuid(), -1, None, "")
    with pytest.raises(OSError, match="no network"):
        forwarding.connection(8888)


def test_a_forwarder_without_descriptors_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main, "RETRY_SECONDS", 0.0)

    class Full(asyncio.SelectorEventLoop):
        left = 3

        async def sock_accept(self, sock: socket.socket) -> tuple[socket.socket, object]:
            self.left -= 1
            if self.left:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            raise TimeoutError

    with socket.socket() as listener, asyncio.Runner(loop_factory=Full) as runner:
        runner.run(main.serve(listener, Forwarder(tmp_path), 5.0))


def test_a_server_that_resets_its_connections_leaves_nothing_behind(tmp_path: Path) -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.setblocking(False)
            port = server.getsockname()[1]
            forwarding = Forwarding("1.1", os.getuid(), -1, None, "127.0.0.1")
            path = Forwarder(tmp_path)._listen(forwarding, port, {})["socket"]
            with socket.socket(socket.AF_UNIX) as client:
                client.setblocking(False)
                await loop.sock_connect(client, path)
                accepted, _ = await loop.sock_accept(server)
                accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESETS)
                accepted.close()
                await loop.sock_recv(client, 1)  # its end
            await asyncio.gather(*forwarding.tasks)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            close(forwarding)
            assert not left

    asyncio.run(body())
