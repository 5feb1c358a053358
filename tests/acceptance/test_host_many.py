"""Many starts of ``launch host`` over few slices: no two ever share one.

The processes themselves look, and a reader that knows nothing of the launcher: it reads in /proc
which process of which cgroup was given which slice.
"""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.host.cgroup import unified_root
from launcher.pidfd import stat_of
from tests.acceptance.shell import Shell
from tests.acceptance.test_host import ONE, slices_free
from tests.support.daemon import DaemonProcess
from tests.support.wait import wait_until
from tests.support.whole import many

SLICES = 4
AT_ONCE = 8
PROGRAM = """
lock=$0/$CUDA_VISIBLE_DEVICES
mkdir $lock && sleep 0.02 && rmdir $lock && echo $CUDA_VISIBLE_DEVICES
"""
"""Makes a directory for its slice that must not be there, and removes it again."""


class Reader(threading.Thread):
    """Looks again and again which slices the processes of which jobs were given."""

    def __init__(self, store: str) -> None:
        super().__init__(name="reader")
        root = unified_root()
        assert root is not None
        self._folder, self._prefix = root / "launcher.host", f"host-{store}-"
        self._is_over = threading.Event()
        self.jobs: dict[str, set[str]] = defaultdict(set)
        """The jobs that were seen on each slice."""
        self.shared: list[str] = []

    def run(self) -> None:
        while not self._is_over.wait(0.002):
            self._look()

    def end(self) -> None:
        self._is_over.set()
        self.join()

    def _look(self) -> None:
        found: dict[str, dict[str, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
        for job, pid, began, uuid in self._processes():
            found[uuid][job].append((pid, began))
            self.jobs[uuid].add(job)
        for uuid, jobs in found.items():
            # A look takes a while: those that are still there were there together.
            there = [job for job, seen in jobs.items() if any(map(is_there, seen))]
            if len(there) > 1:
                self.shared.append(f"{uuid}: {', '.join(there)}")

    def _processes(self) -> Iterator[tuple[str, int, int, str]]:
        for job in self._folder.glob(f"{self._prefix}*"):
            with contextlib.suppress(OSError):
                for pid in map(int, (job / "cgroup.procs").read_text().split()):
                    began = stat_of(pid)
                    uuid = visible_devices(pid)
                    if began is not None and uuid:
                        yield job.name, pid, began[1], uuid


def visible_devices(pid: int) -> str:
    """Return what a process was given, "" before it is the job's command."""
    with contextlib.suppress(OSError):
        for variable in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            if variable.startswith(b"CUDA_VISIBLE_DEVICES="):
                return variable.partition(b"=")[2].decode()
    return ""


def is_there(seen: tuple[int, int]) -> bool:
    pid, began = seen
    now = stat_of(pid)
    return now is not None and now[0] != "Z" and now[1] == began


@pytest.mark.timeout(600)
def test_of_many_starts_no_two_share_a_slice(
    launch: Shell, shared: DaemonProcess, tmp_path: Path
) -> None:
    starts = many(48, whole=200)
    locks = tmp_path / "locks"
    locks.mkdir()
    command = [*ONE, "sh", "-ec", PROGRAM, str(locks)]
    counts: dict[str, int] = defaultdict(int)
    reader = Reader(shared.client.status().store)
    reader.start()
    try:
        for _ in range(starts // AT_ONCE):
            running = [launch.start(*command) for _ in range(AT_ONCE)]
            for each in running:
                counts[each.end().ok().text.strip()] += 1
    finally:
        reader.end()
    assert sum(counts.values()) == starts
    assert len(counts) == SLICES
    assert reader.shared == []
    assert reader.jobs.keys() == counts.keys(), "the reader has seen every slice in use"
    wait_until(lambda: slices_free(shared))
