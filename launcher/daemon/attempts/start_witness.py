"""Finds out from frozen processes whether a command had started when its dockerd died.

Docker does not know. The container's cgroup contains either ``runc init``, which prepares or awaits
its start, or the program that replaced it by execve. A frozen process cannot change, so the
observation is certain (kernel: admin-guide/cgroup-v1/freezer-subsystem.rst, cgroup-v2.rst).
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import signal
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path

from launcher.daemon.attempts.exit_witness import ExitWitness
from launcher.daemon.attempts.start_errors import CommandNotStarted, Vanished
from launcher.daemon.loop import clock
from launcher.daemon.loop.logging_setup import about_container
from launcher.engine.dockerd_identity import DockerdIdentity
from launcher.host.cgroup import pids_in
from launcher.host.freezing import set_frozen
from launcher.procfs import read_lines

log = logging.getLogger(__name__)

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
PATIENCE_SECONDS = 2.0
STEP_SECONDS = 0.01
ARRIVAL_SECONDS = 10.0
"""containerd abandons a call that its client no longer waits for."""
MOST_FOLDERS = 20_000
SetFrozen = Callable[[Path, bool], None]
"""Freezes the processes of a control group, or resumes them."""
FIFO = "exec.fifo"
"""``runc init`` holds this file open until it executes the command (libcontainer, exec.fifo)."""


class CommandState(Enum):
    """Whether the command of an aborted start has started."""

    #: There was only ``runc init``, and it has been killed.
    NOT_STARTED = "not started"
    #: The command, or the init that runs it, has started.
    STARTED = "started"
    #: There are no processes to examine.
    UNKNOWN = "unknown"


class Freezer:
    """One container's cgroup, of version 1 or 2; raises ``OSError``."""

    def __init__(self, folder: Path, set_frozen: SetFrozen = set_frozen) -> None:
        self._folder, self._set_frozen = folder, set_frozen
        self._is_v2 = (folder / "cgroup.freeze").exists()

    def freeze(self) -> bool:
        """Freeze all processes; return whether all are frozen."""
        self._set_frozen(self._folder, True)
        if self._is_v2:
            return _becomes(lambda: "frozen 1" in (self._folder / "cgroup.events").read_text())
        state = self._folder / "freezer.state"
        return _becomes(lambda: state.read_text().strip() == "FROZEN")

    def thaw(self) -> None:
        """Resume the processes."""
        self._set_frozen(self._folder, False)

    def pids(self) -> list[int]:
        """Return the processes, including those in cgroups below."""
        return pids_in(self._folder)

    def kill(self) -> bool:
        """Kill the frozen processes; return whether they are gone. None of them runs before."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.thaw()
        return _becomes(lambda: not self.pids())


def must_have_started(name: str, container_id: str, witness: ExitWitness, why: str) -> None:
    """Return if the container's command runs; ``witness`` then holds it.

    Raises ``CommandNotStarted`` if the command has not started, ``Vanished`` if that is unknown.
    ``why`` says how the start was aborted.
    """
    if _command_state(name, container_id, witness, why) is CommandState.UNKNOWN:
        raise Vanished(f"{why}: it may have run", container_id)


def look_without_docker(
    pid_of_dockerd: Callable[[], int | None],
    dockerd: DockerdIdentity,
    name: str,
    container_id: str,
    witness: ExitWitness,
) -> None:
    """Examine a container at once if ``dockerd`` died during its start; no-op if dockerd lives.

    The next dockerd may end containers that it does not know: 26 and newer do (moby daemon.go,
    restore). containerd may not have created the processes yet. Raises ``CommandNotStarted``;
    a started container is held. If the state stays unknown, returns once Docker is back.
    """
    if witness.blind or not _becomes(dockerd.is_over):
        return
    until = clock.now().boot + ARRIVAL_SECONDS
    while clock.now().boot < until:
        state = _command_state(
            name, container_id, witness, "Docker stopped as it was being started"
        )
        if state is not CommandState.UNKNOWN or pid_of_dockerd() is not None:
            return
        clock.sleep(STEP_SECONDS)


def _command_state(name: str, container_id: str, witness: ExitWitness, why: str) -> CommandState:
    state = CommandState.UNKNOWN
    if not witness.blind:
        hold = functools.partial(witness.hold, name, container_id)
        state = command_state(container_id, hold, witness.set_frozen)
    if state is not CommandState.UNKNOWN:
        about_container(log, name).warning("%s; started: %s", why, state.value)
    if state is CommandState.NOT_STARTED:
        raise CommandNotStarted(f"{why}, and its command had not started", container_id)
    return state


def command_state(
    container_id: str, hold: Callable[[int], None], set_frozen: SetFrozen = set_frozen
) -> CommandState:
    """Find out whether a container's command has started; if not, kill it, so that it never does.

    ``hold`` is called with the pid of the container's init while it is frozen.
    """
    folder = next(_folders_of(container_id), None)
    if folder is None:
        return CommandState.UNKNOWN
    try:
        return _looked(Freezer(folder, set_frozen), container_id, hold)
    except (OSError, ValueError) as error:
        log.warning("cannot examine the processes of container %s: %s", container_id[:12], error)
        return CommandState.UNKNOWN


def _looked(freezer: Freezer, container_id: str, hold: Callable[[int], None]) -> CommandState:
    # runc create fails, and removes everything, if its new processes are frozen.
    if not _becomes(lambda: not any(_is_being_made(p, container_id) for p in freezer.pids())):
        return CommandState.UNKNOWN
    try:
        if not freezer.freeze():
            return CommandState.UNKNOWN
        pids = freezer.pids()
        if not pids:
            return CommandState.UNKNOWN
        if all(_is_runc_init(pid, container_id) for pid in pids):
            return CommandState.NOT_STARTED if freezer.kill() else CommandState.UNKNOWN
        init = next((pid for pid in pids if _is_init(pid)), None)
        if init is None:
            return CommandState.UNKNOWN
        hold(init)
        return CommandState.STARTED
    finally:
        freezer.thaw()


def _folders_of(container_id: str) -> Iterator[Path]:
    """Yield the cgroup of a container with its processes frozen; none in another namespace."""
    root = CGROUPS if (CGROUPS / "cgroup.controllers").exists() else CGROUPS / "freezer"
    for at, (place, _, _) in enumerate(os.walk(root)):
        if container_id in place.rpartition("/")[2]:
            yield Path(place)
        if at >= MOST_FOLDERS:
            return


def _is_runc_init(pid: int, container_id: str) -> bool:
    """Whether a process has not become the command yet; only a job itself can imitate that."""
    place = PROC / str(pid)
    try:
        arguments = (place / "cmdline").read_bytes().split(b"\0")
        files = [str(file.readlink()) for file in (place / "fd").iterdir()]
    except OSError:
        return False
    waits = any(file.endswith(f"{container_id}/{FIFO}") for file in files)
    return waits and arguments[1:2] == [b"init"]


def _is_being_made(pid: int, container_id: str) -> bool:
    """Whether ``runc create`` still runs: it is the parent until then, the shim afterwards."""
    for parent in _status(pid, "PPid"):
        with contextlib.suppress(OSError):
            arguments = (PROC / parent / "cmdline").read_bytes().split(b"\0")
            return b"create" in arguments and container_id.encode() in arguments
    return False


def _is_init(pid: int) -> bool:
    """Whether a process is the first of its pid namespace (proc_pid_status(5): NSpid)."""
    pids = _status(pid, "NSpid")
    return len(pids) > 1 and pids[-1] == "1"


def _status(pid: int, field: str) -> list[str]:
    """Return the words of a line of proc_pid_status(5); empty for a process that is gone."""
    try:
        lines = read_lines(PROC / str(pid) / "status")
    except OSError:
        return []
    return next((line.split()[1:] for line in lines if line.startswith(f"{field}:")), [])


def _becomes(true: Callable[[], bool]) -> bool:
    until = clock.now().boot + PATIENCE_SECONDS
    while not true():
        if clock.now().boot > until:
            return False
        clock.sleep(STEP_SECONDS)
    return True
