"""Runs the trace on every queue, in rounds, so that a slow moment of the machine meets them all."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from launcher.engine.connection import DockerConnection
from launcher.fakegpu import Machine
from launcher.fakegpu.build import compile_c
from launcher.fakegpu.sandbox import Sandbox
from tests.benchmarks.peers import trace
from tests.benchmarks.peers.ours import BOARD
from tests.benchmarks.peers.peer import Bench, Mode, NotHereError, Peer, Run
from tests.benchmarks.peers.table import Row
from tests.support.daemon import BUSYBOX
from tests.support.wait import wait_until

PAYLOAD = Path(__file__).with_name("payload.c")
SETTLE_SECONDS = 60.0
FAILURES = (RuntimeError, TimeoutError, OSError, ValueError, AssertionError)


@contextlib.contextmanager
def bench(programs: Path) -> Iterator[tuple[Bench, Path]]:
    """Start the sandbox that all share; yields it and a folder whose name is short."""
    with tempfile.TemporaryDirectory(prefix="peers-") as name, contextlib.ExitStack() as stack:
        place = Path(name)
        payload = place / "payload"
        compile_c([PAYLOAD], payload, ["-O1", "-static", "-D_GNU_SOURCE"])
        sandbox = stack.enter_context(Sandbox(place / "sandbox"))
        sandbox.import_busybox(BUSYBOX)
        machine = Machine.create(place / "machine", BOARD)
        yield Bench(sandbox.docker_host, BUSYBOX, payload, machine.mig_uuids(), programs), place


def rows(kinds: Sequence[type[Peer]], there: Bench) -> Iterator[tuple[type[Peer], Row]]:
    """Yield a row for every queue and mode; for one that is not here, one that says why."""
    for kind in kinds:
        try:
            version = kind.version(there)
        except (NotHereError, subprocess.SubprocessError) as error:
            yield kind, Row(kind.name, why=f"not here: {error}")
            continue
        for mode in kind.modes:
            yield kind, Row(kind.name, version, mode)


def measure(
    kinds: Sequence[type[Peer]], there: Bench, place: Path, rounds: int
) -> list[tuple[type[Peer], Row]]:
    """Run all rounds; a queue that fails once is not asked again, and its row says so."""
    table = list(rows(kinds, there))
    for turn in range(rounds):
        for kind, row in table:
            if row.why or row.mode is None or turn >= (kind.rounds or rounds):
                continue
            try:
                began, spans = _once(kind, there, row.mode, place)
            except (*FAILURES, subprocess.SubprocessError) as error:
                row.why = f"failed: {' '.join(str(error).split())[-200:]}"
                print(f"{row.name}, {row.mode}: {row.why}", file=sys.stderr, flush=True)
                continue
            row.makespans.append(trace.makespan(began, spans))
            row.gaps += trace.between(spans)
            row.clashes += trace.clashes(spans)
            print(f"{turn + 1}. {row.name}, {row.mode}: {row.makespans[-1]:.2f} s", flush=True)
    return table


def _once(kind: type[Peer], there: Bench, mode: Mode, place: Path) -> tuple[int, list[trace.Span]]:
    run = Run(mode, place / "run", place / "records")
    for folder in (run.place, run.records):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    peer = kind(there, run)
    try:
        peer.start()
        began = time.time_ns()
        peer.submit()
        peer.wait()
        _settle(there)
    finally:
        peer.stop()
        _remove(there)
    spans = trace.read(run.records)
    if not {span.slot for span in spans} <= set(there.uuids):
        raise RuntimeError(f"a job ran on something that is not a slice: {spans}")
    return began, spans


def _settle(there: Bench) -> None:
    """Wait until the last container has been removed by whoever started it."""
    api = DockerConnection(there.docker_host).api()
    wait_until(lambda: not api.containers(all=True), SETTLE_SECONDS, "the last container is gone")


def _remove(there: Bench) -> None:
    """Remove what a failed run left behind."""
    api = DockerConnection(there.docker_host).api()
    for container in api.containers(all=True):
        api.remove_container(container["Id"], force=True)
