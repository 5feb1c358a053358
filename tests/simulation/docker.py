"""The truth about the containers of a simulated machine: what a dockerd has, and what runs.

Everything is a function of the time: a container that was started has its end in it. Answers have
the shape of Docker's API (1.41), refusals its words: the contract suite compares them with a real
dockerd.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from launcher.engine.outcome import Refusal, Refused, Unknown
from launcher.errors import EngineError
from tests.simulation.program import Program, of_command
from tests.simulation.virtual import Timeline

ZERO = "0001-01-01T00:00:00Z"
BOOT_SECONDS = 30.0
NOT_FOUND = (
    "failed to create shim task: OCI runtime create failed: runc create failed: unable to start "
    'container process: exec: "{0}": stat {0}: no such file or directory: unknown'
)


def stamp(wall: float) -> str:
    """Return seconds since 1970 as Docker writes a time."""
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"


@dataclass
class Record:
    """One start that the NVIDIA hook saw, or one of a CPU job: who ran where."""

    at: float
    container: str
    name: str
    devices: tuple[str, ...]


@dataclass
class Life:
    """The process of a started container; times are CLOCK_BOOTTIME seconds."""

    pid: int
    started: float
    ends: float
    exit: int
    oom: bool = False
    killed: bool = False
    lingers: float = 0.0

    @property
    def gone(self) -> float:
        """When its last process is off the slice, and out of the container's cgroup."""
        return self.ends + (0.0 if self.killed else self.lingers)


@dataclass
class Box:
    """One container. ``told_exit`` is what dockerd says where it lost the truth."""

    id: str
    name: str
    body: dict[str, Any]
    created: float
    program: Program
    started_wall: float | None = None
    life: Life | None = None
    error: str = ""
    error_exit: int = 0
    told: tuple[int, float] | None = None
    unsaved: bool = False
    """It was started, and dockerd has not written that down."""
    devices: tuple[str, ...] = ()
    stops: int = 0
    step: float = 0.0
    """By how much the wall clock was set while it ran."""


class Restart(Enum):
    """How a dockerd comes back, as was measured of the real one."""

    #: live-restore, a containerd of its own: nothing is lost.
    LIVE = "live"
    #: No live-restore, ended by SIGTERM: containers end with it, 137.
    STOPS = "stops"
    #: No live-restore, killed: containers are killed when it comes back, 137.
    KILLS = "kills"
    #: live-restore, but containerd is its child: who ended meanwhile has 255 and the time of the
    #: restart.
    FORGETS = "forgets"


@dataclass
class FakeDocker:
    """A dockerd with its containers, images and record of starts."""

    timeline: Timeline
    boxes: dict[str, Box] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)
    record: list[Record] = field(default_factory=list)
    down: bool = False
    stalled: bool = False
    incarnation: int = 1
    born: float = 0.0
    lost_exits: set[str] = field(default_factory=set)
    """Names of containers whose end dockerd does not tell truly."""
    gone: dict[str, Box] = field(default_factory=dict)
    live_restore: bool = True
    asked: dict[tuple[str, str], float] = field(default_factory=dict)
    """(call, container name) -> when it was sent last."""
    ghosts: set[str] = field(default_factory=set)
    """Containers whose end dockerd has missed: it says that they run."""
    tells_missed_ends: bool = True
    """Whether it knows the exit code of an end that it had missed, once it was made to look: a
    Docker of 26 or newer whose containerd has lost the task says 0, as if it had just ended."""
    missed: set[str] = field(default_factory=set)
    """Containers whose end dockerd has missed for a time."""
    removed_by_others: set[str] = field(default_factory=set)
    late: list[tuple[float, Callable[[], Any]]] = field(default_factory=list)
    """Requests whose client gave up: dockerd carries them out all the same, when it comes to it."""
    busy: dict[str, float] = field(default_factory=dict)
    """Container name -> until when dockerd holds its lock."""
    untold: set[str] = field(default_factory=set)
    """Containers of whose end it made up 0, and what became of them is not decided yet. It is not
    ended meanwhile: what one life made up the next cannot tell from what it knew, nor can anybody.
    """
    unwritten: set[str] = field(default_factory=set)
    """Containers over whose end dockerd was killed, before it had written that down."""
    dies_at_start: bool = False
    """It is killed at the next start, before it has written that down."""
    _went: float = 0.0
    _came: float = 0.0
    _pids: int = 1000

    def catch_up(self) -> None:
        """Carry out the late requests whose time has come."""
        due = [(when, do) for when, do in self.late if when <= self.timeline.mono]
        self.late = [(when, do) for when, do in self.late if when > self.timeline.mono]
        for _, do in due:
            with contextlib.suppress(EngineError):
                do()

    # what runs

    def alive(self, box: Box) -> bool:
        """Whether the container's process runs now."""
        return box.life is not None and box.life.ends > self.timeline.mono

    def users(self, uuid: str) -> list[tuple[Box, int]]:
        """Return every container with a process on a slice now, removed ones too, and the pid."""
        now = self.timeline.mono
        found = []
        for box in (*self.boxes.values(), *self.gone.values()):
            if box.life is not None and uuid in box.devices and box.life.gone > now:
                found.append((box, box.life.pid))
        return found

    # the calls

    def get(self, name: str) -> Box:
        box = self.boxes.get(name) or next((b for b in self.boxes.values() if b.id == name), None)
        if box is None:
            raise _refused(404, f"No such container: {name}")
        return box

    def create(self, name: str, body: dict[str, Any]) -> str:
        if name in self.boxes:
            raise _refused(
                409,
                f'Conflict. The container name "/{name}" is already in use by container '
                f'"{self.boxes[name].id}". You have to remove (or rename) that container to be '
                "able to reuse that name.",
            )
        if body["Image"] not in (*self.images, *self.images.values()):
            raise _refused(404, f"No such image: {body['Image']}")
        requests = (body.get("HostConfig") or {}).get("DeviceRequests") or []
        devices = tuple(d for r in requests for d in r.get("DeviceIDs") or [])
        made = hashlib.sha256(f"{name}{self.timeline.mono}".encode()).hexdigest()
        program = of_command([*(body.get("Entrypoint") or []), *(body.get("Cmd") or [])])
        self.boxes[name] = Box(made, name, body, self.timeline.wall, program, devices=devices)
        return made

    def start(self, name: str) -> None:
        box = self.get(name)
        if box.unsaved and self.alive(box):
            raise _refused(500, f"task {box.id}: already exists")
        if self.alive(box) or name in self.ghosts:
            return
        box.unsaved = False
        program = box.program
        if program.missing:
            box.error_exit = 127
            box.error = NOT_FOUND.format("/no/such/program")
            raise _refused(400, box.error)
        self._pids += 1
        now = self.timeline.mono
        exit_code = 137 if program.oom else program.exit
        box.life = Life(self._pids, now, now + program.seconds, exit_code, program.oom)
        box.life.lingers = program.lingers
        box.started_wall, box.told = self.timeline.wall, None
        self.record.append(Record(self.timeline.wall, box.id, box.name, box.devices))
        if self.dies_at_start and not self.untold:
            self.dies_at_start = False
            self.lose_start(box)
            self.go(Restart.LIVE)
            raise Unknown("the answer of the simulated dockerd was lost: it was killed")

    def lose_start(self, box: Box, error: str = "") -> None:
        """Let dockerd know nothing of a start that containerd has carried out."""
        box.unsaved, box.error, box.error_exit = True, error, 128 if error else 0
        self.lost_exits.add(box.name)

    def lose_end(self, box: Box) -> None:
        """Kill dockerd while it handles the end of a container."""
        self.unwritten.add(box.name)
        self.lost_exits.add(box.name)
        self.go(Restart.LIVE)

    def saw_end(self, container_id: str) -> bool:
        """Whether this life of dockerd has handled the end of a container."""
        box = self.get(container_id)
        ended = box.life is not None and not self.alive(box)
        return ended and box.told is None and box.life is not None and box.life.ends >= self._came

    def signal(self, name: str, *, kill: bool, grace: float | None = None) -> None:
        """TERM or KILL a container; with a grace KILL follows TERM."""
        box = self.get(name)
        if name in self.ghosts and not self.alive(box):
            self.ghosts.discard(name)
            if not self.tells_missed_ends:
                box.told = (0, self.timeline.wall)
                self.lost_exits.add(name)
        self.ghosts.discard(name)
        if not self.alive(box):
            return
        assert box.life is not None
        box.stops += 1
        now, life = self.timeline.mono, box.life
        if kill:
            self._end(life, now, 137)
        elif box.program.kind:
            self._end(life, now, box.program.exit)
        elif not box.program.stubborn:
            self._end(life, now, 143)
        elif grace is not None and now + grace < life.ends:
            self._end(life, now + grace, 137)

    @staticmethod
    def _end(life: Life, at: float, exit_code: int) -> None:
        if at < life.ends:
            life.ends, life.exit, life.oom, life.killed = at, exit_code, False, True

    def remove(self, name: str) -> None:
        box = self.boxes.pop(self.get(name).name)
        if self.alive(box):
            assert box.life is not None
            self._end(box.life, self.timeline.mono, 137)
        self.gone[box.id] = box
        self.ghosts.discard(box.name)
        self.untold.discard(box.name)

    def inspect(self, name: str) -> dict[str, Any]:
        box = self.get(name)
        life = box.life
        state: dict[str, Any] = {
            "Status": "created", "Running": False, "Pid": 0, "ExitCode": box.error_exit,
            "Error": box.error, "OOMKilled": False, "StartedAt": ZERO, "FinishedAt": ZERO,
        }  # fmt: skip
        if life is not None and not box.unsaved:
            assert box.started_wall is not None
            running = self.alive(box) or box.name in self.ghosts
            exit_code, ended = box.told or (life.exit, _ended_wall(box, life))
            state |= {
                "Status": "running" if running else "exited",
                "Running": running,
                "Pid": life.pid if running else 0,
                "ExitCode": 0 if running else exit_code,
                "OOMKilled": life.oom and not running and box.told is None,
                "StartedAt": stamp(box.started_wall),
                "FinishedAt": ZERO if running else stamp(ended),
            }
        return {
            "Id": box.id,
            "Name": f"/{box.name}",
            "State": state,
            "Config": {
                "Labels": box.body.get("Labels") or {},
                "Env": box.body.get("Env") or [],
                "User": box.body.get("User") or "",
            },
            "HostConfig": box.body.get("HostConfig") or {},
            "Image": box.body["Image"],
        }

    def listed(self, box: Box) -> dict[str, Any]:
        status = self.inspect(box.name)["State"]["Status"]
        return {
            "Id": box.id, "Names": [f"/{box.name}"], "State": status,
            "Labels": box.body.get("Labels") or {}, "Created": int(box.created),
        }  # fmt: skip

    def lines(self, box: Box) -> list[tuple[float, bytes]]:
        """Return (wall time, line) of all that was written until now."""
        if box.life is None or box.started_wall is None:
            return []
        program, now = box.program, self.timeline.mono
        pause = program.seconds / max(1, program.lines)
        times = [(i, i * pause) for i in range(program.lines)]
        until = min(now, box.life.ends) - box.life.started
        return [(box.started_wall + t, b"line %d\n" % i) for i, t in times if t <= until]

    # what happens to dockerd

    def go(self, how: Restart) -> None:
        """Let dockerd go down."""
        self.down, self._went = True, self.timeline.mono
        self.late.clear()
        self.busy.clear()
        if how is Restart.STOPS:
            self._kill_all()

    def come(self, how: Restart) -> None:
        """Let dockerd come back."""
        now = self.timeline.mono
        if how is Restart.KILLS:
            self._kill_all()
        if how is Restart.FORGETS:
            for box in self.boxes.values():
                if box.life is not None and self._went <= box.life.ends <= now:
                    box.told = (255, self.timeline.wall)
                    self.lost_exits.add(box.name)
        for box in self.boxes.values():
            if box.name in self.unwritten:
                box.told = (0, self.timeline.wall)
                self.untold.add(box.name)
            if box.unsaved and box.life is not None:  # a task that dockerd does not know is ended
                self._end(box.life, now, 137)
        self.down = False
        self.ghosts.clear()
        self.unwritten.clear()
        self.incarnation += 1
        self.born, self._came = self.timeline.wall, now

    def set_clock(self, step: float) -> None:
        """Set the wall clock: what was stamped before stays as it is."""
        self.timeline.wall += step
        self.timeline.booted_wall += step
        self.born += step
        running = [box for box in self.boxes.values() if self.alive(box)]
        for box in running:
            box.step += step
        for record in self.record:
            if any(record.container == box.id for box in running):
                record.at += step  # as the lease that it is compared with

    def misses_ends(self, seconds: float) -> None:
        """Let containerd be away for so long: dockerd misses who ends meanwhile."""
        now = self.timeline.mono
        for box in self.boxes.values():
            if box.life is not None and now < box.life.ends <= now + seconds:
                self.ghosts.add(box.name)
                self.missed.add(box.name)

    def _kill_all(self) -> None:
        for box in self.boxes.values():
            if self.alive(box):
                assert box.life is not None
                self._end(box.life, self.timeline.mono, 137)
                self.lost_exits.add(box.name)

    def power_off(self) -> None:
        """Lose every process; after the boot dockerd does not know how they ended."""
        self.ghosts.clear()
        self.late.clear()
        self.busy.clear()
        self.incarnation += 1
        self.born = self.timeline.wall + BOOT_SECONDS + 10.0
        for box in (*self.boxes.values(), *self.gone.values()):
            if box.life is not None:
                box.life.lingers = 0.0
            if self.alive(box):
                assert box.life is not None
                self._end(box.life, self.timeline.mono, 255)
                self.lost_exits.add(box.name)
                box.told = (255, self.timeline.wall + BOOT_SECONDS + 20.0)


def _ended_wall(box: Box, life: Life) -> float:
    assert box.started_wall is not None
    return box.started_wall + life.ends - life.started + box.step


def _refused(status: int, message: str) -> Refused:
    from launcher.engine.outcome import refusal

    return Refused(refusal(status, message), status, message)


__all__ = ["Box", "FakeDocker", "Record", "Refusal", "Restart"]
