"""Connects clients with the terminals of running jobs, through the output keeper.

Every method blocks. The keeper takes over the client's connection; the daemon keeps no part of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

from launcher import __version__, wire
from launcher.core.messages import events as ev
from launcher.core.model.job import Job, State
from launcher.daemon.loop.event_loop import EventLoop
from launcher.daemon.loop.threads import in_thread
from launcher.engine.attach import ContainerTerminals, ExecState, Streams
from launcher.engine.outcome import Refused, Unknown
from launcher.errors import EngineUnavailable, LauncherError, StaleRequest, Unavailable
from launcher.host.terminal.connecting import WATCH, WRITE, TerminalSockets
from launcher.output.keeper_client import OutputKeeper
from launcher.output.log_file import path_of
from launcher.wire.terminal import (
    COMMAND_HEADER,
    FRAMED_TYPE,
    RAW_TYPE,
    ROLE_HEADER,
    WATCHES,
    WRITES,
)

log = logging.getLogger(__name__)

_COMMAND_ID = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class TerminalPlace:
    """The attempt whose terminal is meant: its container's name is None unless it runs."""

    job: int
    attempt: int
    container: str | None
    container_id: str | None
    streams: Streams
    on_host: bool = False

    @classmethod
    def of(cls, job: Job, container: str | None, *, tty: bool = False) -> TerminalPlace:
        """Return the terminal of a job's attempt."""
        streams = Streams(tty, job.interactive, job.owner.uid)
        return cls(job.id, job.attempt, container, job.container_id, streams, job.on_host)


class Terminals:
    """The terminals of one daemon's jobs, by the paths of their logs."""

    def __init__(
        self,
        keeper: OutputKeeper,
        commands: ContainerTerminals,
        sockets: TerminalSockets,
        directory: Path,
    ) -> None:
        self._keeper, self._commands = keeper, commands
        self._sockets, self._directory = sockets, directory
        self._locking = threading.Lock()
        self._locks: WeakValueDictionary[Path, threading.Lock] = WeakValueDictionary()

    def attach(
        self, place: TerminalPlace, uid: int, client: int, *, take: bool, watch: bool
    ) -> None:
        """Attach the user's connection to the terminal of a job: to write, else to watch.

        With ``take`` whoever writes is parted from it. Raises ``StaleRequest`` if the job's
        container has ended, ``Unavailable``.
        """
        with _explained():
            if place.streams.stdin and not watch and self._writes(place, uid, client, take=take):
                return
            with self._stream(place, stdin=False) as stream:
                tty, path = place.streams.tty, self._path(place)
                head = head_of({ROLE_HEADER: WATCHES}, tty=tty)
                self._keeper.relay(path, uid, head, stream, client, sends=False, framed=not tty)

    def _writes(self, place: TerminalPlace, uid: int, client: int, *, take: bool) -> bool:
        """Join the console, which is opened if nobody holds it; False if another client writes."""
        path, head = self._path(place), head_of({ROLE_HEADER: WRITES}, tty=place.streams.tty)
        with self._lock_of(path):  # two that open a console would close each other's
            state = self._keeper.join_console(path, head, client, take=take)
            if state == "none":
                self._open(place)
                state = self._keeper.join_console(path, head, client, take=take)
        return state == "joined"

    def _open(self, place: TerminalPlace) -> None:
        """Have the keeper hold the job's console, the same stream as before if it is there."""
        path, uid = self._path(place), place.streams.uid
        if not self._keeper.hold_again(path, uid):
            with self._stream(place, stdin=True) as stream:
                # A host job's terminal waits for a writer that does not read: none may be left.
                self._keeper.hold_console(path, uid, stream, keeps=not place.on_host)

    def _lock_of(self, path: Path) -> threading.Lock:
        with self._locking:
            return self._locks.setdefault(path, threading.Lock())

    def execute(
        self, place: TerminalPlace, uid: int, client: int, request: wire.ExecRequest
    ) -> None:
        """Run a further command in the job's container, and attach the connection to it."""
        with _explained():
            self._keeper.must_have_room(uid)  # before the command runs
            command_id = self._commands.create(
                self._running(place),
                request.command,
                tty=request.tty,
                stdin=request.stdin,
                environment=request.environment,
                working_dir=request.working_dir,
            )
            head = head_of({ROLE_HEADER: WRITES, COMMAND_HEADER: command_id}, tty=request.tty)
            with contextlib.closing(self._commands.start(command_id, tty=request.tty)) as stream:
                path, fd = self._path(place), stream.fileno()
                self._keeper.relay(path, uid, head, fd, client, sends=True)

    def resize(self, place: TerminalPlace, size: wire.TerminalSize) -> None:
        """Set the size of the job's terminal, or of a further command's."""
        with _explained():
            container = self._running(place)
            if place.on_host:
                self._sockets.resize(container, size.rows, size.columns)
            elif size.command is None:
                self._commands.resize_terminal(container, size.rows, size.columns)
            else:
                self._find(place, size.command)
                self._commands.resize_command(size.command, size.rows, size.columns)

    def command(self, place: TerminalPlace, command_id: str) -> wire.CommandView:
        """Return the state of a further command of this job."""
        with _explained():
            command = self._find(place, command_id)
        code = None if command.running else command.exit_code
        return wire.CommandView(running=command.running, exit_code=code)

    def _find(self, place: TerminalPlace, command_id: str) -> ExecState:
        """Return a command in the job's own container."""
        known = _COMMAND_ID.fullmatch(command_id) is not None
        command = self._commands.find(command_id) if known else None
        if command is None or command.container_id != place.container_id:
            raise StaleRequest(f"job {place.job} has no command {command_id[:12]!r}")
        return command

    def unused_for(self, places: Sequence[TerminalPlace]) -> dict[int, float]:
        """Return for how many seconds nobody has used the terminals of running jobs, by job.

        A console that the keeper has lost is opened again, and counts from then on. Nothing is
        returned for those that cannot be reached now.
        """
        idle: dict[int, float] = {}
        with contextlib.suppress(OSError):
            sessions = self._keeper.sessions()
            for place in places:
                path = self._path(place)
                if (session := sessions.get(str(path))) is not None:
                    idle[place.job] = session[2]
                    continue
                with contextlib.suppress(LauncherError), self._lock_of(path):
                    if str(path) not in self._keeper.sessions():  # nobody has opened it meanwhile
                        self._open(place)
        return idle

    def clients(self, place: TerminalPlace) -> tuple[bool, int, float] | None:
        """Return whether somebody writes, the number of clients, and the seconds without use."""
        try:
            return self._keeper.sessions().get(str(self._path(place)))
        except OSError:
            return None

    def _path(self, place: TerminalPlace) -> Path:
        return path_of(self._directory, place.job, place.attempt)

    def _running(self, place: TerminalPlace) -> str:
        if place.container is None:
            raise StaleRequest(
                f"job {place.job} does not run", fix=f"`launch logs {place.job}` has its output."
            )
        return place.container

    @contextlib.contextmanager
    def _stream(self, place: TerminalPlace, *, stdin: bool) -> Iterator[int]:
        name = self._running(place)
        if place.on_host:
            with self._sockets.connect(name, WRITE if stdin else WATCH) as connection:
                yield connection.fileno()
            return
        with contextlib.closing(self._commands.attach(name, stdin=stdin)) as stream:
            # Docker attaches to an ended container too, as before a start: nothing ever comes.
            if not self._commands.is_running(name):
                raise StaleRequest(f"job {place.job} has just ended")
            yield stream.fileno()


async def watch_terminals(
    terminals: Terminals, event_loop: Callable[[], EventLoop], seconds: float
) -> None:
    """Report the interactive jobs that nobody uses, every so many seconds."""
    while True:
        await asyncio.sleep(seconds)
        world = event_loop().world
        places = [
            TerminalPlace.of(job, world.attempts[job.id].container_name)
            for job in world.jobs.values()
            if job.interactive and job.state is State.RUNNING and job.id in world.attempts
        ]
        if not places:
            continue
        try:
            idle = await in_thread("terminals", functools.partial(terminals.unused_for, places))
            event_loop().post(ev.TerminalsSeen(idle))
        except Exception:
            log.exception("cannot look at the terminals")


def head_of(headers: dict[str, str], *, tty: bool) -> str:
    """Return the head of the reply that becomes a stream; it ends with the connection."""
    kind = RAW_TYPE if tty else FRAMED_TYPE
    lines = {
        "Launcher-Version": __version__,
        "Content-Type": kind,
        "Connection": "close",
        **headers,
    }
    return "\r\n".join(["HTTP/1.1 200 OK", *(f"{k}: {v}" for k, v in lines.items()), "", ""])


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Map the failures of Docker and of the keeper to what a caller is told."""
    try:
        yield
    except Refused as refused:
        raise StaleRequest(f"Docker refused: {refused.message}") from refused
    except (EngineUnavailable, Unknown) as away:
        raise Unavailable(away.message) from away
    except OSError as error:
        raise Unavailable(f"the terminal is not available: {error}") from error
