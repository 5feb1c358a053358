"""Pidfds of inits: each belongs to one container, also when its number was given again."""

from __future__ import annotations

import subprocess

from launcher.daemon.attempts.exit_witness import ExitWitness
from launcher.engine.containers import Container
from tests.support.wait import wait_until


def container(name: str) -> Container:
    info = {"State": {"StartedAt": "0001-01-01T00:00:00Z"}}
    return Container(name, name, "running", True, 1, 0, "", False, None, None, {}, info)


def process(script: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE)


def test_who_is_forgotten_takes_no_other_along_that_got_the_same_number() -> None:
    witness = ExitWitness()
    first, second = container("first"), container("second")
    with process("exit 3") as one, process("read never; exit 5") as two:
        witness.hold("first", one.pid)
        number = witness._watched["first"].pidfd
        one.wait()
        wait_until(lambda: not witness.runs(first))
        wait_until(lambda: number not in witness._by_fd)
        witness.hold("second", two.pid)
        assert witness._watched["second"].pidfd == number, "the lowest number that is free"
        witness.signal(first, "SIGKILL")
        witness.forget("first")
        assert witness.runs(second)
        two.communicate(b"\n")
        wait_until(lambda: not witness.runs(second))
        assert witness.end_of_removed("second", 5) is not None


def test_a_signal_reaches_the_init_that_is_held() -> None:
    witness = ExitWitness()
    with process("read never") as one:
        witness.hold("a", one.pid)
        witness.signal(container("a"), "SIGKILL")
        assert one.wait(10) == -9
        wait_until(lambda: not witness.runs(container("a")))
        witness.signal(container("a"), "SIGKILL")
