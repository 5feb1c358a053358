"""The terminal of a host job whose writer takes nothing: another one may still take it over."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
from collections.abc import Iterator

import pytest

from launcher.host.terminal import connecting
from tests.support.wait import wait_until


@pytest.fixture
def loud() -> Iterator[str]:
    """The name of a terminal whose command prints without end."""
    name = f"test-{secrets.token_hex(8)}"
    words = connecting.words(name, ("yes", "word"))
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    yield name
    process.kill()
    process.wait()


def is_there(name: str) -> bool:
    try:
        connecting.resize(name, os.getuid(), 30, 100)
    except ConnectionRefusedError:
        return False
    return True


def test_a_terminal_can_be_taken_from_a_writer_that_reads_nothing(loud: str) -> None:
    wait_until(lambda: is_there(loud), 20, "the terminal is there")
    with connecting.connect(loud, os.getuid(), connecting.WRITE) as stalled:
        assert connecting.writes(stalled)
        with connecting.connect(loud, os.getuid(), connecting.WATCH) as watcher:
            watcher.settimeout(0.5)
            with contextlib.suppress(TimeoutError):  # the writer takes no more
                while watcher.recv(1 << 20):
                    pass
        with connecting.connect(loud, os.getuid(), connecting.TAKE) as taker:
            assert connecting.writes(taker)
            assert b"word" in taker.recv(1000)
