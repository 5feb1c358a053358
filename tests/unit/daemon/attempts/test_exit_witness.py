"""Pidfds of inits: each belongs to one container, also when its number was given again."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from launcher.daemon.attempts import exit_witness
from launcher.daemon.attempts.exit_witness import ExitWitness
from launcher.engine.containers import Container
from launcher.host.cgroup_usage import NO_USAGE, CgroupUsage
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
        witness.hold("first", "first", one.pid)
        number = witness._watched["first"].pidfd
        one.wait()
        wait_until(lambda: not witness.runs(first))
        wait_until(lambda: number not in witness._by_fd)
        witness.hold("second", "second", two.pid)
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
        witness.hold("a", "a", one.pid)
        witness.signal(container("a"), "SIGKILL")
        assert one.wait(10) == -9
        wait_until(lambda: not witness.runs(container("a")))
        witness.signal(container("a"), "SIGKILL")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of the cgroup of every process that is held: 1 MiB and a second."""
    monkeypatch.setattr(exit_witness, "CGROUPS", tmp_path)
    monkeypatch.setattr(exit_witness, "_paths_of", lambda container_id, pid: {"": "one"})
    monkeypatch.setattr(exit_witness, "MEASURE_SECONDS", 0.01)
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "memory.peak").write_text("1048576\n")
    (folder / "cpu.stat").write_text("usage_usec 1000000\n")
    return folder


def test_what_a_container_has_used_is_read_while_it_runs_and_at_its_end(files: Path) -> None:
    witness = ExitWitness()
    with process("read never") as one:
        witness.hold("a", "a", one.pid)
        assert witness.usage_of("a") == CgroupUsage(1 << 20, 1.0, None, None)
        (files / "cpu.stat").write_text("usage_usec 3000000\n")
        one.communicate(b"\n")
    wait_until(lambda: not witness.runs(container("a")))
    (files / "cpu.stat").write_text("usage_usec 9000000\n")
    assert witness.usage_of("a").cpu_seconds == 3.0, "the cgroup may be another's by now"
    witness.forget("a")
    assert witness.usage_of("a") == NO_USAGE


def test_what_was_read_last_counts_if_the_cgroup_is_gone_at_the_end(files: Path) -> None:
    witness = ExitWitness()
    with process("read never") as one:
        witness.hold("a", "a", one.pid)
        wait_until(lambda: witness._watched["a"].usage.cpu_seconds == 1.0)
        for file in files.iterdir():
            file.unlink()
        one.communicate(b"\n")
    wait_until(lambda: not witness.runs(container("a")))
    assert witness.usage_of("a") == CgroupUsage(1 << 20, 1.0, None, None)


def test_without_a_recorded_peak_the_highest_memory_that_was_seen_counts(files: Path) -> None:
    (files / "memory.peak").unlink()
    (files / "memory.current").write_text("500\n")
    witness = ExitWitness()
    with process("read never") as one:
        witness.hold("a", "a", one.pid)
        for size in (700, 600):
            (files / "memory.current").write_text(f"{size}\n")
            wait_until(lambda: witness._watched["a"].usage.memory_peak_bytes == 700)
        one.communicate(b"\n")
    wait_until(lambda: not witness.runs(container("a")))
    assert witness.usage_of("a").memory_peak_bytes == 700
