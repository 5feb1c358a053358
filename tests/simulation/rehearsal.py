"""One run of a simulated machine: a daemon lives, is cut off, lives again, until all is quiet."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import logging
import os
import shutil
import socket
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from launcher import crashpoints, wire
from launcher.config.settings import Config
from launcher.core.dispatch import decide_in_pieces
from launcher.core.messages import events as ev
from launcher.core.messages.changes import Changes
from launcher.core.model.job import Owner, State
from launcher.core.policy.settings import Settings
from launcher.core.world import lifecycle
from launcher.core.world.world import World
from launcher.daemon.api.handlers import control
from launcher.daemon.api.handlers.submit import submit
from launcher.daemon.loop import event_loop
from launcher.daemon.machine import observers
from launcher.daemon.mounts.secret_mounts import InRuntime
from launcher.daemon.outside import Outside
from launcher.daemon.users.identity import Caller
from launcher.daemon.wiring import Daemon
from launcher.errors import LauncherError
from launcher.mount_helper import Pins
from launcher.store import Reader, Store
from launcher.store import store as store_module
from tests.simulation.calls import (
    FakeContainers,
    FakeHomes,
    FakeImageFiles,
    FakeImages,
    FakeLogs,
    Port,
    Weather,
)
from tests.simulation.docker import BOOT_SECONDS, Box, FakeDocker, Restart
from tests.simulation.gpu import FakeGpu
from tests.simulation.ledger import Ledger, job_of
from tests.simulation.scenario import IMAGE, OTHER, Ask, Scenario, Trouble
from tests.simulation.virtual import Crashed, Epoch, Timeline, epoch
from tests.support.builders import mig

FAST = Path("/dev/shm")
QUIET_SECONDS = 4 * 3600.0
ALICE = Caller(Owner(1000, 1000, "alice"), admin=True)
REGISTRY = {IMAGE: "sha256:" + "1" * 64, OTHER: "sha256:" + "2" * 64}
Pair = tuple[State, type, State]


@dataclass
class Crash:
    """Where the daemon is cut off: at the ``at``-th point it passes, counted over the whole run.

    With ``point`` only those of that name are counted.
    """

    at: int | None = None
    point: str | None = None


@dataclass
class Report:
    """What one run showed."""

    seed: int
    trace: str = ""
    wrong: list[str] = field(default_factory=list)
    figures: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    points: Counter[str] = field(default_factory=Counter)
    pairs: set[tuple[str, str]] = field(default_factory=set)
    hours: float = 0.0


class Runtime(InRuntime):
    """A runtime directory that need not be in memory."""

    def check(self) -> None:
        """Find it well, wherever it is."""


class Rehearsal:
    """One seed's machine, its daemon's lives and its ledger."""

    def __init__(
        self, seed: int, scenario: Scenario, *, crash: Crash | None = None, keep: bool = False
    ) -> None:
        self.seed, self.scenario, self.crash = seed, scenario, crash or Crash()
        self.rng = Random(seed)
        self.timeline = Timeline()
        self.docker = FakeDocker(self.timeline)
        self.docker.live_restore = scenario.live_restore
        self.docker.tells_missed_ends = scenario.tells_missed_ends
        self.docker.images[IMAGE] = REGISTRY[IMAGE]
        self.registry = dict(REGISTRY)
        self.gpu = FakeGpu(self.docker)
        self.weather = Weather(Random(seed + 1), dict(scenario.chances), tell=self.tell)
        self.weather.latency, self.weather.script = scenario.latency, scenario.script
        self.ledger = Ledger(self.docker)
        self.report = Report(seed)
        self.directory = Path(tempfile.mkdtemp(dir=FAST if FAST.is_dir() else None))
        self.left = list(scenario.events)
        self.begun = self.timeline.mono
        self._hash = hashlib.sha256()
        self.lines: list[str] | None = [] if keep else None
        self._passed = 0
        self._life: Epoch | None = None
        self.store_ids = itertools.count()
        self.ended: dict[int, tuple[str, int | None]] = {}
        self.config = Config(
            socket=self.directory / "s",
            state_dir=self.directory / "state",
            docker_host="unix:///simulated",
            system=False,
            lock_dir=self.directory / "locks",
            cpu_slots=2,
            rules=Settings(preempt_after=5.0),
            pins_directory=str(self.directory / "pins"),
        )

    # the record

    def tell(self, *words: Any) -> None:
        """Write a line of the trace."""
        line = f"{self.timeline.mono:.6f} {' '.join(map(str, words))}"
        self._hash.update(line.encode())
        if self.lines is not None:
            self.lines.append(line)

    def decided(self, daemon: Daemon, changes: Changes) -> None:
        """Look at a decision that is durable."""
        for line in changes.history:
            self.tell("job", line.job, line.event, line.detail)
        for attempt in changes.attempts.values():
            if (attempt.cause or "").startswith("secrets: "):
                self.ledger.blame(f"{attempt.container_name}: {attempt.cause}")
        self.ledger.check(daemon.event_loop.world, changes)

    def pass_point(self, name: str) -> None:
        """Note a crash point, and crash there if this is the one."""
        life = self._life
        if life is None or life.threads.dead:
            return
        self._passed += self.crash.point in (None, name)
        self.report.points[name] += 1
        chance = self.scenario.crash_chance
        here = self._passed == self.crash.at and self.crash.point in (None, name)
        if here or (chance and self.rng.random() < chance):
            self.cut_off(name)

    def cut_off(self, where: str) -> None:
        """End the daemon as ``kill -9`` does."""
        assert self._life is not None
        self.tell("crash", where)
        self.report.figures["crashes"] += 1
        self._life.crash(where)

    # the run

    def run(self) -> Report:
        """Run to quiet; the report's ``wrong`` says what should not be."""
        docker_start = self.docker.start

        def start(name: str) -> None:
            before = len(self.docker.record)
            docker_start(name)
            if len(self.docker.record) > before:
                self.ledger.started(self.docker.boxes[name])

        self.docker.start = start  # type: ignore[method-assign]
        check = lifecycle.check

        def checked(job: Any, event: type, to: State, story: Any = ()) -> None:
            before = job.state
            check(job, event, to, story)
            self.report.pairs.add((before.name, event.__name__))

        quiet = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        crashpoints.arm(self.pass_point)
        try:
            with (
                patch.object(lifecycle, "check", checked),
                patch.object(store_module, "secrets", self),
                patch.object(event_loop, "decide_in_pieces", self._decide),
                patch.object(observers, "TICK_SECONDS", 2.0),
                patch.object(observers, "PING_SECONDS", 4.0),
                patch.object(observers, "FOREIGN_SECONDS", 4.0),
            ):
                self._live_until_quiet()
        finally:
            crashpoints.arm(None)
            logging.disable(quiet)
            shutil.rmtree(self.directory, ignore_errors=True)
        self.report.wrong = self.ledger.wrong
        self.report.trace = self._hash.hexdigest()
        self.report.faults = self.weather.struck
        self.report.hours = (self.timeline.mono - self.begun) / 3600
        self.report.figures["checks"] = self.ledger.checks
        self.report.figures["acknowledged"] = len(self.ledger.acknowledged)
        self.report.figures["starts"] = len(self.docker.record)
        return self.report

    def _decide(self, world: World, event: ev.Event, now: ev.Now) -> Any:
        """Note in which state an event finds its job."""
        job = world.jobs.get(getattr(event, "job", 0))
        if job is not None:
            self.report.pairs.add((job.state.name, type(event).__name__))
        return decide_in_pieces(world, event, now)

    def token_hex(self, count: int) -> str:
        """Stand in for ``secrets``: nothing here is left to chance."""
        return f"{next(self.store_ids):0{2 * count}x}"

    def _live_until_quiet(self) -> None:
        deadline = self.timeline.mono + self.scenario.length + QUIET_SECONDS
        while True:
            with epoch(self.timeline, self.rng) as life:
                life.loop.until = deadline
                self._life = life
                self._daemon: Daemon | None = None
                self._store: Store | None = None
                try:
                    life.run(self._live())
                    return
                except Crashed:
                    self._bury()
                except AssertionError as failed:
                    self.ledger.blame(f"{failed}; {self._what_is_left()}")
                    self._bury()
                    return
                finally:
                    self._life = None
            self.timeline.advance(self.rng.choice([0.1, 1.0, 15.0]))

    def _what_is_left(self) -> str:
        if self._daemon is None or not hasattr(self._daemon, "event_loop"):
            return "no daemon"
        world = self._daemon.event_loop.world
        jobs = [f"{j.id}.{j.attempt} {j.state.name} {j.message}" for j in world.jobs.values()]
        used = [f"{s.slice.uuid} {s.unusable}" for s in world.slices.values() if not s.free]
        gates = [world.reconciling, world.engine_down, world.gpu_down, world.gpu_support]
        return f"jobs {jobs}, slices {used}, boxes {list(self.docker.boxes)}, gates {gates}"

    def _bury(self) -> None:
        """Close what the kernel closes when a process is killed."""
        if self._daemon is not None:
            for _, reader in (self._daemon.committer._short, self._daemon.committer._long):
                reader._db.close()
            self._daemon.claims.release()
        if self._store is not None:
            self._store._db.close()
            with contextlib.suppress(OSError):
                os.close(self._store._lock)

    async def _live(self) -> None:
        self._store = Store.open(self.config.state_dir)
        port = Port(self.docker, self.weather)
        outside = Outside(
            FakeContainers(port),  # type: ignore[arg-type]
            FakeImages(port, self.registry),  # type: ignore[arg-type]
            FakeLogs(port),  # type: ignore[arg-type]
            self.gpu,  # type: ignore[arg-type]
            Pins(_no_helper),
            FakeImageFiles(),  # type: ignore[arg-type]
            FakeHomes(),
        )
        self._daemon = daemon = Daemon(self.config, self._store, outside)
        daemon.places = Runtime(self.directory)
        tell = daemon.subscriptions.changed

        def changed(changes: Changes) -> None:
            tell(changes)
            self.decided(daemon, changes)

        daemon.subscriptions.changed = changed  # type: ignore[method-assign]
        await daemon.start()
        await self._play(daemon)
        await self._become_quiet(daemon)
        await daemon.close()

    async def _play(self, daemon: Daemon) -> None:
        loop = asyncio.get_running_loop()
        doing: set[asyncio.Task[None]] = set()
        while self.left:
            at, what = self.left[0]
            await asyncio.sleep(max(0.0, self.begun + at - self.timeline.mono))
            daemon.check()
            self.left.pop(0)
            if isinstance(what, Trouble):
                self._strike(what, loop)
            else:
                task = asyncio.create_task(self._ask(daemon, what))
                doing.add(task)
                task.add_done_callback(doing.discard)
        await asyncio.gather(*doing)
        left = self.begun + self.scenario.length - self.timeline.mono
        await asyncio.sleep(max(0.0, left))

    # what people do

    async def _ask(self, daemon: Daemon, what: Ask) -> None:
        with contextlib.suppress(LauncherError):
            if what.verb == "submit":
                request = wire.SubmitRequest(jobs=[self._after_others(j) for j in what.jobs])
                made = await submit(daemon.context(), ALICE, request)
                for view in made:
                    self.ledger.acknowledged[view.id] = what.jobs[0]
                    if what.jobs[0].depends_on:
                        self.report.figures["dependents"] += 1
                    if what.jobs[0].time_limit is not None:
                        self.ledger.interrupted.add(view.id)
                self.tell("acknowledged", *(view.id for view in made))
                return
            job = self._some_job(what.which)
            if job is not None:
                await self._do(daemon, what.verb, job)

    def _after_others(self, job: wire.JobSpec) -> wire.JobSpec:
        """Let a job that depends on any depend on one that is there."""
        other = self._some_job(0.7)
        how = job.depends_on.get("any")
        depends = {str(other): how} if how is not None and other is not None else {}
        return replace(job, depends_on=depends)

    def _some_job(self, which: float) -> int | None:
        known = sorted(self.ledger.acknowledged)
        return known[int(which * len(known))] if known else None

    async def _do(self, daemon: Daemon, verb: str, job: int) -> None:
        context, ref = daemon.context(), str(job)
        if verb in ("cancel", "requeue"):
            self.ledger.interrupted.add(job)
        match verb:
            case "cancel":
                await control.cancel(context, ALICE, ref)
                self.ledger.cancelled.setdefault(job, self.timeline.mono)
            case "retry":
                self.ledger.retried.add(job)
                await control.retry(context, ALICE, wire.RetryJobs(refs=[ref]))
            case "signal":
                await control.send_signal(context, ALICE, ref, wire.SignalRequest(signal="USR1"))
            case "edit":
                await control.edit(context, ALICE, ref, wire.EditRequest(priority=40))
            case "hold":
                await control.hold(context, ALICE, ref)
            case "release":
                await control.release(context, ALICE, ref)
            case "requeue":
                await control.requeue(context, ALICE, ref)
        self.tell(verb, job, "acknowledged")

    # what breaks

    def _strike(self, trouble: Trouble, loop: asyncio.AbstractEventLoop) -> None:
        self.tell("trouble", trouble.kind, trouble.seconds)
        self.weather.struck[trouble.kind] += 1
        strike = getattr(self, f"_{trouble.kind.replace('-', '_')}")
        mend = strike(trouble)
        if mend is not None:
            self._later(trouble.seconds, mend)

    def _mended(self, trouble: Trouble) -> None:
        assert callable(trouble.how)
        trouble.how()

    def _restart(self, trouble: Trouble) -> Any:
        assert trouble.how is not None
        if self.docker.down or self.docker.untold:
            return None
        how = trouble.how
        self.docker.go(how)
        return lambda: self.docker.come(how)

    def _dies(self, trouble: Trouble) -> Any:
        """Dockerd is killed at the next start, where one comes."""
        self.docker.dies_at_start = True

        def back() -> None:
            if not self.docker.dies_at_start:
                self.docker.come(Restart.LIVE)
            self.docker.dies_at_start = False

        return back

    def _dies_at_end(self, trouble: Trouble) -> None:
        """Dockerd is killed over the next end of a container, before it has written it down."""
        running = [box for box in self.docker.boxes.values() if self.docker.alive(box)]
        lives = [(box.life.ends, box) for box in running if box.life is not None]
        if not lives:
            return
        ends, box = min(lives, key=lambda life: life[0])

        def dies() -> None:
            was = box.life is not None and box.life.ends == ends
            away = self.docker.down or self.docker.untold
            if was and not away and box.name not in self.docker.ghosts:
                self.docker.lose_end(box)
                self._later(trouble.seconds, lambda: self.docker.come(Restart.LIVE))

        self._later(ends - self.timeline.mono, dies)

    def _later(self, seconds: float, do: Callable[[], Any]) -> None:
        """Let something happen then: not by the daemon's timer, the world goes on without it."""
        at = self.timeline.mono - self.begun + seconds
        self.left.append((at, Trouble("mended", which=0.0, how=do)))
        self.left.sort(key=lambda event: event[0])

    def _stall(self, trouble: Trouble) -> Any:
        self.docker.stalled = True

        def go_on() -> None:
            self.docker.stalled = False

        return go_on

    def _image(self, trouble: Trouble) -> None:
        """Somebody removes an image, and its registry has another one under that name."""
        self.docker.images.pop(OTHER, None)
        self.registry[OTHER] = "sha256:" + f"{self.rng.randint(3, 9)}" * 64

    def _clock(self, trouble: Trouble) -> None:
        self.docker.set_clock(trouble.which)

    def _containerd(self, trouble: Trouble) -> None:
        self.docker.misses_ends(trouble.seconds)

    def _some_slice(self, which: float) -> str | None:
        known = sorted(self.gpu.slices)
        return known[int(which * len(known))] if known else None

    def _slice_changes(self, trouble: Trouble) -> None:
        """A slice is another one now, under the UUID it had."""
        uuid = self._some_slice(trouble.which)
        if uuid is not None:
            was = self.gpu.slices[uuid]
            number = 7 if was.gi != 7 else 6
            made = mig(number, "1g.6gb", was.gpu_uuid, start=3)
            self.gpu.slices[uuid] = type(was)(
                uuid, was.gpu_uuid, was.gpu_index, made.profile, made.profile_id, made.memory_mib,
                number, 0, made.placement,
            )  # fmt: skip

    def _slice_goes(self, trouble: Trouble) -> Any:
        uuid = self._some_slice(trouble.which)
        if uuid is None:
            return None
        was = self.gpu.slices.pop(uuid)
        return lambda: self.gpu.slices.setdefault(uuid, was)

    def _foreign(self, trouble: Trouble) -> Any:
        uuid = self._some_slice(trouble.which)
        if uuid is None:
            return None
        self.gpu.foreign[uuid] = 77
        return lambda: self.gpu.foreign.pop(uuid, None)

    def _nvml(self, trouble: Trouble) -> Any:
        self.gpu.down = "the GPU is lost" if trouble.which < 0.5 else "NVML: unknown error"

        def well() -> None:
            self.gpu.down = None

        return well

    def _hides(self, trouble: Trouble) -> Any:
        self.gpu.hides = True

        def shows() -> None:
            self.gpu.hides = False

        return shows

    def _removed(self, trouble: Trouble) -> None:
        """Somebody removes one of our containers."""
        names = sorted(self.docker.boxes)
        if names and not self.docker.down:
            name = names[int(trouble.which * len(names))]
            self.ledger.interrupted.add(job_of(self.docker.boxes[name]))
            self.docker.lost_exits.add(name)
            self.docker.removed_by_others.add(name)
            self.docker.remove(name)

    def _crash(self, trouble: Trouble) -> None:
        self.cut_off("at a random moment")

    def _reboot(self, trouble: Trouble) -> None:
        """The machine goes down with everything on it."""
        if self.docker.untold:
            return
        self.gpu.foreign.clear()
        self.docker.power_off()
        self.timeline.advance(BOOT_SECONDS)
        self.timeline.reboot()
        self.cut_off("reboot")

    # the end

    async def _become_quiet(self, daemon: Daemon) -> None:
        """Let nothing go wrong any more, and wait until nothing is left to do."""
        self.tell("calm")
        self.scenario.crash_chance = 0.0
        self.weather.chances.clear()
        self.docker.stalled = False
        self.gpu.foreign.clear()
        self.gpu.down, self.gpu.hides = None, False
        tried: Counter[int] = Counter()
        while not self._is_quiet(daemon):
            for job in list(daemon.event_loop.world.jobs.values()):
                tried[job.id] += job.state is State.PENDING
                with contextlib.suppress(LauncherError):
                    if job.held is not None and tried[job.id] < 10:
                        await daemon.event_loop.request(ev.ReleaseAsked(job.id, 0, True))
                    elif tried[job.id] > 200:  # what it needs is not there any more
                        self.ledger.interrupted.add(job.id)
                        await daemon.event_loop.request(ev.CancelAsked(job.id, 0))
            await asyncio.sleep(5.0)
        await daemon.event_loop.request(ev.Tick())  # the last decision is on record
        self._final(daemon)

    def _is_quiet(self, daemon: Daemon) -> bool:
        daemon.check()
        world = daemon.event_loop.world
        free = all(state.lease is None for state in world.slices.values())
        return not world.jobs and free and not self.docker.boxes

    def _final(self, daemon: Daemon) -> None:
        from tests.simulation.verdict import judge

        judge(self.config.state_dir, self.ledger, self.docker)
        if kept := list((self.config.state_dir / "secrets").glob("*/*")):
            self.ledger.blame(f"{len(kept)} files of secrets are left")
        self.ended = {job: self._end_of(job) for job in self.ledger.acknowledged}

    def _end_of(self, job: int) -> tuple[str, int | None]:
        """Return how a job ended: outcome and exit code."""
        reader = Reader(self.config.state_dir)
        found = reader.job(job)
        reader.close()
        assert found is not None
        assert found.outcome is not None
        return found.outcome.value, found.exit_code


def _no_helper() -> socket.socket:
    raise FileNotFoundError("nothing is mounted in a rehearsal")


def boxes_of(docker: FakeDocker) -> list[Box]:
    """Return every container there ever was."""
    return [*docker.boxes.values(), *docker.gone.values()]
