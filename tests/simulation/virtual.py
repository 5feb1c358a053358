"""A whole daemon in virtual time: its event loop and its threads, one after another in one thread.

Every thread of the daemon is a greenlet that runs until it waits for something. Nothing real is
waited for: where all wait, the clock is set to the next moment at which one goes on. So a run
depends on its seed alone, and can be cut off at any point, as ``kill -9`` does.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

from launcher.core.messages.events import Now
from launcher.daemon.loop import clock

FOREVER = 10.0 * 24 * 3600
SWITCH_SECONDS = 0.002
"""A thread begins within so much time: which of two comes first is the seed's choice."""


@dataclass
class Timeline:
    """The clocks of the machine, in seconds; a daemon that is down does not stop them.

    ``mono`` is the simulation's own: it never jumps, and goes on over a reboot.
    """

    wall: float = 1_800_000_000.0
    mono: float = 1000.0
    boots: int = 1
    booted: float = 0.0
    """When the machine booted, as ``mono`` and as ``wall``."""
    booted_wall: float = 1_799_999_000.0

    @property
    def boot(self) -> float:
        """CLOCK_BOOTTIME."""
        return self.mono - self.booted

    def advance(self, seconds: float) -> None:
        self.wall += seconds
        self.mono += seconds

    def reboot(self) -> None:
        self.boots += 1
        self.booted, self.booted_wall = self.mono, self.wall


class Crashed(BaseException):
    """The daemon was cut off where it stood."""


class _NoSelector:
    """Where a real loop waits for sockets, time passes."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        self._loop.pass_time(timeout)
        return []

    def close(self) -> None:
        pass


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop whose time is the timeline's, and whose executors are greenlets."""

    def __init__(self, timeline: Timeline, rng: Random) -> None:
        super().__init__()
        self.timeline = timeline
        self.threads = Threads(self, rng)
        self._selector = _NoSelector(self)
        self.until = FOREVER

    def time(self) -> float:
        return self.timeline.mono

    def pass_time(self, timeout: float | None) -> None:
        if self.threads.dead:
            raise Crashed
        seconds = FOREVER if timeout is None else timeout
        if self.timeline.mono + seconds > self.until:
            self.timeline.advance(max(0.0, self.until - self.timeline.mono))
            self.stop()
        elif seconds > 0:
            self.timeline.advance(seconds)

    def _process_events(self, event_list: Any) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        future = self.create_future()

        def body() -> None:
            try:
                result = func(*args)
            except GreenletExit:
                return
            except BaseException as error:
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(result)

        self.threads.start(body)
        return future

    def cut_off(self) -> None:
        """Forget everything that was still to be done."""
        self._ready.clear()  # type: ignore[attr-defined]
        self._scheduled.clear()  # type: ignore[attr-defined]
        self.set_exception_handler(lambda loop, context: None)


class Threads:
    """The threads of one daemon."""

    def __init__(self, loop: VirtualLoop, rng: Random) -> None:
        self._loop, self._rng = loop, rng
        self.subscriptions: greenlet | None = None
        self.dead = False
        self._live: set[greenlet] = set()

    def start(self, call: Callable[[], None]) -> None:
        """Begin a thread soon."""

        def run() -> None:
            try:
                with contextlib.suppress(GreenletExit):
                    call()
            finally:
                self._live.discard(getcurrent())

        thread = greenlet(run, self.subscriptions)
        self._live.add(thread)
        self._loop.call_later(self._rng.uniform(0, SWITCH_SECONDS), self._resume, thread)

    def _resume(self, thread: greenlet) -> None:
        if not thread.dead and not self.dead:
            thread.switch()

    def sleep(self, seconds: float) -> None:
        """Block the thread that calls."""
        thread = self.mine()
        self._loop.call_later(seconds, self._resume, thread)
        self.block()

    def mine(self) -> greenlet:
        """Return the thread that calls; the loop itself must never block."""
        if self.dead:
            raise GreenletExit
        thread = getcurrent()
        assert thread is not self.subscriptions, "something blocks the event loop"
        return thread

    def block(self) -> None:
        """Let others run until somebody resumes this thread."""
        assert self.subscriptions is not None
        self.subscriptions.switch()
        if self.dead:
            raise GreenletExit

    def end(self) -> None:
        """End every thread where it stands."""
        self.dead = True
        for thread in list(self._live):
            thread.parent = getcurrent()
            with contextlib.suppress(BaseException):
                thread.throw(GreenletExit)
        self._live.clear()


class VirtualFlag:
    """``threading.Event`` among greenlets."""

    def __init__(self, threads: Threads, loop: VirtualLoop) -> None:
        self._threads, self._loop = threads, loop
        self._set = False
        self._waiting: dict[greenlet, asyncio.TimerHandle | None] = {}

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        for thread, timer in self._waiting.items():
            if timer is not None:
                timer.cancel()
            self._loop.call_soon(self._threads._resume, thread)
        self._waiting.clear()

    def wait(self, timeout: float | None = None) -> bool:
        if self._set:
            return True
        thread = self._threads.mine()
        timer = None
        if timeout is not None:
            timer = self._loop.call_later(timeout, self._time_out, thread)
        self._waiting[thread] = timer
        self._threads.block()
        return self._set

    def _time_out(self, thread: greenlet) -> None:
        if thread in self._waiting:
            del self._waiting[thread]
            self._threads._resume(thread)


@dataclass
class Epoch:
    """One life of the daemon, from its start to its end or crash; it keeps the daemon's time."""

    timeline: Timeline
    rng: Random
    loop: VirtualLoop = field(init=False)
    crashed: str | None = None
    _computed: float = 0.0

    def __post_init__(self) -> None:
        self.loop = VirtualLoop(self.timeline, self.rng)
        self._outer = getcurrent()

    @property
    def threads(self) -> Threads:
        return self.loop.threads

    def now(self) -> Now:
        if self.threads.dead:
            raise GreenletExit
        return Now(self.timeline.wall, self.timeline.boot)

    def boot_id(self) -> str:
        return f"boot-{self.timeline.boots}"

    def booted_at(self) -> float:
        return self.timeline.booted_wall

    def computed(self) -> float:
        """Count the pauses: long work makes its pauses at the same places in every run."""
        self._computed += 0.002
        return self._computed

    def sleep(self, seconds: float) -> None:
        self.threads.sleep(seconds)

    def spawn(self, name: str, call: Callable[[], None]) -> None:
        self.threads.start(call)

    def flag(self) -> VirtualFlag:
        return VirtualFlag(self.threads, self.loop)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run until ``work`` is done, or ``Crashed``, and return what it returns."""
        outcome: list[Any] = []

        def life() -> None:
            task = self.loop.create_task(work)
            task.add_done_callback(lambda _: self.loop.stop())
            self.loop.run_forever()
            if not task.done():
                raise AssertionError(f"not quiet by {self.loop.until}")
            outcome.append(task)

        self.threads.subscriptions = greenlet(life)
        with clock.replaced_by(self):
            told = self.threads.subscriptions.switch()
        if not outcome:
            self._end()
            raise Crashed(told)
        return outcome[0].result()

    def crash(self, where: str) -> None:
        """Cut the daemon off, from whichever of its threads; never returns there."""
        if self.threads.dead:
            raise GreenletExit
        self._outer.switch(where)
        raise GreenletExit

    def _end(self) -> None:
        """Let what is left of it fall apart without doing anything more."""
        self.loop.cut_off()
        self.threads.end()
        subscriptions = self.threads.subscriptions
        assert subscriptions is not None
        subscriptions.parent = getcurrent()
        with contextlib.suppress(BaseException):
            subscriptions.throw(Crashed)
        asyncio._set_running_loop(None)

    def close(self) -> None:
        """End an epoch that was not cut off."""
        if not self.threads.dead:
            self.loop.cut_off()
            self.threads.end()
        self.loop.close()


@contextlib.contextmanager
def epoch(timeline: Timeline, rng: Random) -> Iterator[Epoch]:
    """Yield a new life of the daemon."""
    made = Epoch(timeline, rng)
    try:
        yield made
    finally:
        made.close()
