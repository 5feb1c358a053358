"""Runs the forwarder, on a socket that is passed in or on its own."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import math
import socket
import sys
from pathlib import Path

from launcher import passed_fds
from launcher.companion import MOST_MESSAGE_BYTES
from launcher.listening import RETRY_SECONDS, bound, raise_file_limit
from launcher.ports.forwarder import Forwarder

IDLE_SECONDS = 5.0


def main(arguments: list[str] | None = None) -> int:
    """Serve until it is ended; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m launcher.ports", description=__doc__)
    parser.add_argument("--listener", type=int, metavar="FD", help="a listening socket")
    parser.add_argument("--listen", type=Path, metavar="PATH", help="create a socket there")
    parser.add_argument("--directory", type=Path, required=True, help="where the sockets are made")
    args = parser.parse_args(arguments)
    logging.basicConfig(format="ports: %(message)s")
    raise_file_limit()
    try:
        forwarder = Forwarder(args.directory)
    except OSError as error:
        print(f"error: the sockets of ports have no place: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 1
    fd = passed_fds.listener() if args.listener is None else args.listener
    if args.listen is not None:
        listener = bound(args.listen, 0o600, socket.SOCK_SEQPACKET)
    elif fd is not None:
        listener = socket.socket(fileno=fd)
    else:
        parser.error("no socket was passed: use --listen, or start the systemd socket")
    idle = math.inf if args.listen is not None else IDLE_SECONDS
    asyncio.run(serve(listener, forwarder, idle))
    return 0


async def serve(listener: socket.socket, forwarder: Forwarder, idle_seconds: float) -> None:
    """Answer requests until no port is open and nobody asks for ``idle_seconds``."""
    loop = asyncio.get_running_loop()
    listener.setblocking(False)
    tasks: set[asyncio.Task[None]] = set()
    is_short = False
    while True:
        try:
            async with asyncio.timeout(None if idle_seconds == math.inf else idle_seconds):
                connection, _ = await loop.sock_accept(listener)
        except TimeoutError:
            if not tasks and forwarder.is_idle:
                return
            continue
        except OSError as error:  # no descriptors are left: the open ports go on
            if not is_short:
                logging.warning("cannot accept connections, trying again: %s", error.strerror)
            is_short = True
            await asyncio.sleep(RETRY_SECONDS)
            continue
        is_short = False
        task = loop.create_task(_answer(connection, forwarder))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


async def _answer(connection: socket.socket, forwarder: Forwarder) -> None:
    loop = asyncio.get_running_loop()
    with connection:
        connection.setblocking(False)
        with contextlib.suppress(OSError):
            while message := await loop.sock_recv(connection, MOST_MESSAGE_BYTES):
                await loop.sock_sendall(connection, forwarder.answer(message))


if __name__ == "__main__":
    sys.exit(main())
