"""Relaying to a port: what one connection does harms no other one."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from pathlib import Path

import pytest

from launcher.ports import __main__ as main
from launcher.ports.forwarder import Forwarder, Forwarding

RESETS = struct.pack("ii", 1, 0)
"""SO_LINGER for which a close is a reset (socket(7))."""


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
            loop.remove_reader(forwarding.listeners[0])
            forwarding.listeners[0].close()
            assert not left

    asyncio.run(body())
