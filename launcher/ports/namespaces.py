"""Connections from inside another process's network namespace (setns(2), network_namespaces(7))."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
from collections.abc import Iterator
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def namespace_of(pid: int, container_id: str) -> int:
    """Return a descriptor of the network namespace of a container's process.

    The process must be in the container's control group: a pid may have a new owner. Raises
    ``OSError``.
    """
    fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if container_id not in Path(f"/proc/{pid}/cgroup").read_text():
            raise ProcessLookupError(f"process {pid} is not of container {container_id[:12]}")
    except BaseException:
        os.close(fd)
        raise
    return fd


def socket_within(namespace: int) -> socket.socket:
    """Return a new TCP socket of a network namespace; raises ``OSError``.

    It changes the calling thread for a moment, so nothing else may run in it meanwhile.
    """
    with _entered(namespace):
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM)


@contextlib.contextmanager
def _entered(namespace: int) -> Iterator[None]:
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _set(namespace)
        try:
            yield
        finally:
            _set(own)
    finally:
        os.close(own)


def _set(namespace: int) -> None:
    if _libc.setns(namespace, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")
