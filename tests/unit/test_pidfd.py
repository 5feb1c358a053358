"""How a process ended, from its pidfd, whoever its parent is."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from launcher import pidfd
from tests.support.wait import wait_until


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 5", 5), ("kill -9 $$", 137)])
def test_the_status_is_told_once_the_process_was_reaped(script: str, code: int) -> None:
    with subprocess.Popen(
        ["/bin/sh", "-c", f"read line; {script}"], stdin=subprocess.PIPE
    ) as child:
        assert child.stdin is not None
        fd = os.pidfd_open(child.pid)
        assert not pidfd.is_over(fd)
        assert pidfd.exit_status(fd) is None
        child.stdin.close()
        wait_until(lambda: pidfd.is_over(fd))
        assert pidfd.exit_status(fd) is None, "nobody has reaped it"
        child.wait()
        status = pidfd.exit_status(fd)
        os.close(fd)
    if pidfd.kernel_tells():
        assert status is not None
        assert pidfd.exit_code(status) == code
    else:
        assert status is None


def test_signals_are_128_and_their_number_as_docker_tells_them() -> None:
    assert pidfd.exit_code(3 << 8) == 3
    assert pidfd.exit_code(signal.SIGTERM) == 143
