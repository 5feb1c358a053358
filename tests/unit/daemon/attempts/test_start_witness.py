"""Whether a command had started, from the frozen processes of its control group."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launcher.core.messages.events import Now
from launcher.daemon.attempts import start_witness
from launcher.daemon.attempts.start_witness import CommandState, command_state
from launcher.daemon.loop import clock

ID = "0123456789abcdef" * 4


class Hurried(clock.System):
    """A clock on which waiting takes no time."""

    def __init__(self) -> None:
        self.slept = 0.0

    def now(self) -> Now:
        return Now(self.slept, self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept += seconds


class Group:
    """A control group of version 2 with processes, each as /proc shows it."""

    def __init__(self, root: Path) -> None:
        self.proc, self.groups = root / "proc", root / "cgroup"
        self.folder = self.groups / "system.slice" / f"docker-{ID}.scope"
        self.folder.mkdir(parents=True)
        (self.groups / "cgroup.controllers").touch()
        (self.folder / "cgroup.freeze").touch()
        (self.folder / "cgroup.events").write_text("populated 1\nfrozen 1\n")
        (self.folder / "cgroup.procs").write_text("")
        self.held: list[int] = []
        self.frozen: list[bool] = []
        self.resumed: Callable[[], None] = lambda: None

    def add(
        self, pid: int, *arguments: str, init: bool = False, fifo: bool = False, parent: int = 1
    ) -> None:
        place = self.proc / str(pid)
        (place / "fd").mkdir(parents=True)
        (place / "cmdline").write_bytes(b"\0".join(a.encode() for a in (*arguments, "")))
        inside = f"{pid}\t1" if init else str(pid)
        (place / "status").write_text(f"Name:\tx\nPPid:\t{parent}\nNSpid:\t{inside}\n")
        if fifo:
            (place / "fd" / "5").symlink_to(f"/run/runc/{ID}/exec.fifo")
        if parent == 1:
            with (self.folder / "cgroup.procs").open("a") as file:
                file.write(f"{pid}\n")

    def make(self, pid: int, parent: int) -> None:
        """Let a process be one that ``runc create`` has not finished."""
        self.add(pid, "runc", "init", fifo=True)
        status = self.proc / str(pid) / "status"
        status.write_text(status.read_text().replace("PPid:\t1", f"PPid:\t{parent}"))
        (self.proc / str(parent)).mkdir()
        (self.proc / str(parent) / "cmdline").write_bytes(f"runc\0create\0{ID}\0".encode())

    def freeze(self, folder: Path, frozen: bool) -> None:
        assert folder == self.folder
        self.frozen.append(frozen)
        if not frozen:
            self.resumed()

    def state(self) -> CommandState:
        return command_state(ID, self.held.append, self.freeze)


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Group]:
    made = Group(tmp_path)
    monkeypatch.setattr(start_witness, "PROC", made.proc)
    monkeypatch.setattr(start_witness, "CGROUPS", made.groups)
    with clock.replaced_by(Hurried()):
        yield made


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that may be killed; nothing is left of it once it is gone."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_a_command_that_runs_as_its_containers_init_is_held_while_it_is_frozen(
    group: Group,
) -> None:
    group.add(400, "python", "train.py", init=True)
    group.add(401, "python", "worker.py")
    assert group.state() is CommandState.STARTED
    assert (group.held, group.frozen) == ([400], [True, False])


def test_where_only_runc_waits_it_is_killed_before_it_is_resumed(
    group: Group, child: subprocess.Popen[bytes]
) -> None:
    """Resumed alive, it would start the command."""
    group.add(child.pid, "runc", "init", init=True, fifo=True)

    def gone() -> None:
        child.wait(5)
        (group.folder / "cgroup.procs").write_text("")

    group.resumed = gone
    assert group.state() is CommandState.NOT_STARTED
    assert (child.returncode, group.held) == (-9, [])


@pytest.mark.parametrize(
    "processes",
    [
        lambda group: None,
        lambda group: group.add(400, "python", "train.py"),
        lambda group: group.make(400, 300),
        lambda group: (group.folder / "cgroup.events").write_text("frozen 0\n"),
        lambda group: (group.folder / "cgroup.procs").write_text("not a number"),
    ],
    ids=["none", "no init", "runc create still runs", "they cannot be frozen", "not readable"],
)
def test_where_it_cannot_be_told_nothing_is_killed_and_nothing_stays_frozen(
    group: Group, processes: Callable[[Group], object]
) -> None:
    processes(group)
    assert group.state() is CommandState.UNKNOWN
    assert group.held == []
    assert group.frozen in ([], [True, False])


def test_a_program_that_only_has_the_arguments_of_runc_counts_as_started(group: Group) -> None:
    group.add(400, "mine", "init", init=True)
    assert group.state() is CommandState.STARTED


def test_a_container_without_a_control_group_here_is_unknown(group: Group) -> None:
    assert command_state("f" * 64, group.held.append, group.freeze) is CommandState.UNKNOWN
    assert group.frozen == []
