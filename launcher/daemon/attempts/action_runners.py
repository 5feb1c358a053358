"""Carries out actions. Each action is one task; its result is an event for the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from launcher.core.messages import actions as act
from launcher.core.messages import events as ev
from launcher.core.model.ids import is_host
from launcher.core.model.job import Owner
from launcher.core.policy.policy import PolicyInput
from launcher.core.scheduling.memory_share import memory_with
from launcher.crashpoints import around
from launcher.daemon.attempts.follower import Follower
from launcher.daemon.attempts.host_jobs import HostJobs
from launcher.daemon.attempts.image_actions import ImageActions
from launcher.daemon.attempts.measuring import Measuring
from launcher.daemon.attempts.start_journal import StartJournal
from launcher.daemon.attempts.starter import Starter
from launcher.daemon.loop import clock
from launcher.daemon.loop.action_pools import Pools
from launcher.daemon.loop.committer import Committer
from launcher.daemon.loop.event_loop import EventLoop
from launcher.daemon.loop.logging_setup import about_container, about_event
from launcher.daemon.loop.subscriptions import Subscriptions
from launcher.daemon.loop.threads import in_thread
from launcher.daemon.machine.idle_check import IdleCheck
from launcher.daemon.machine.layout_steps import LayoutRunner
from launcher.daemon.mounts.home_keeper import HomeKeeper
from launcher.daemon.output.log_copier import write_log
from launcher.daemon.output.log_usage import LogUsage
from launcher.daemon.requests.array_elements import made_again
from launcher.daemon.users.credentials import Credentials
from launcher.daemon.users.fair_pool import FairPool
from launcher.daemon.users.identity import Roles
from launcher.engine.containers import Containers
from launcher.engine.images import Images
from launcher.engine.logs import Logs
from launcher.engine.outcome import Refused, Unknown
from launcher.errors import EngineUnavailable, LauncherError
from launcher.output.log_file import path_of
from launcher.spec.job_spec import JobSpec
from launcher.store import Reader

log = logging.getLogger(__name__)

SpecOf = tuple[JobSpec | str, Owner, str | None]
"""An attempt's spec (or why it is unavailable), its owner and its deadline."""
Start = Callable[[act.StartAttempt, PolicyInput | str, str | None, Callable[[], bool]], ev.Event]
TRY_AGAIN_SECONDS = 1.0
LOG_WAIT_SECONDS = 300.0
"""A container is kept this long after its log last grew: the time of several hung calls."""
CALM_SECONDS = 2.0
LEFT_OVER = 64
"""Up to this many ended containers wait for a pause between starts before they are removed."""
REMEMBERED_SPECS = 1000
REMEMBERED_CHARACTERS = 16 * 1024
"""A longer spec is read from the store when its job starts. This bounds the memory of all specs."""


class ActionRunners:
    """One method per action; blocking calls run in threads with a Docker client each."""

    def __init__(
        self,
        *,
        event_loop: EventLoop,
        layouts: LayoutRunner,
        containers: Containers,
        images: Images,
        logs: Logs,
        starter: Starter,
        host: HostJobs | None,
        idle_check: IdleCheck,
        committer: Committer,
        subscriptions: Subscriptions,
        journal: StartJournal,
        roles: Roles,
        toolkit_fixed: Callable[[], bool],
        log_directory: Path,
        log_use: LogUsage,
        homes: HomeKeeper,
        measuring: Measuring,
    ) -> None:
        self.event_loop, self.layouts = event_loop, layouts
        self._containers, self._logs, self._homes = containers, logs, homes
        self.starter, self._host, self._idle_check = starter, host, idle_check
        self._committer, self._subscriptions, self._journal = committer, subscriptions, journal
        self._log_directory, self.log_use, self._roles = log_directory, log_use, roles
        self.pools = Pools()
        self._removing: set[str] = set()
        self._one_removal = asyncio.Semaphore(1)  # it costs Docker as much as a start
        self._starting, self._calm, self._measuring = 0, asyncio.Event(), measuring
        self._specs: OrderedDict[int, JobSpec] = OrderedDict()
        self._tasks: dict[asyncio.Task[None], tuple[act.Action, float]] = {}
        self._followers: dict[tuple[int, int], Follower] = {}
        self.credentials = Credentials()
        self._image_actions = self._for_images(images, toolkit_fixed)
        self._methods = self._by_action()

    def _for_images(self, images: Images, toolkit_fixed: Callable[[], bool]) -> ImageActions:
        return ImageActions(
            images, self.pools, self.credentials, self._roles, self._subscriptions,
            facts=self.starter.job_homes.facts, toolkit_fixed=toolkit_fixed,
            architecture=self._containers.architecture, post=self.event_loop.post,
            world=lambda: self.event_loop.world,
        )  # fmt: skip

    def _by_action(self) -> dict[type, Callable[[Any], Awaitable[None]]]:
        return {
            act.FindImage: self._image_actions.find,
            act.PullImage: self._image_actions.pull,
            act.SettlePull: self._image_actions.settle,
            act.StartAttempt: self._start,
            act.FollowAttempt: self._follow,
            act.StopAttempt: self._stop,
            act.KillAttempt: self._kill,
            act.SignalAttempt: self._signal,
            act.ProveIdle: self._prove,
            act.RemoveContainer: self._remove,
            act.CarveStep: self._change_layout,
            act.LookAtLayout: self._change_layout,
        }

    def _method(self, action: act.Action) -> Callable[[Any], Awaitable[None]]:
        on_host = isinstance(action, act.OfAttempt) and is_host(action.container_name)
        return self._on_host if on_host else self._methods[type(action)]

    async def _on_host(self, action: act.OfAttempt) -> None:
        """Carry out an action of a host job in a thread of its own, which may block."""
        if self._host is None:
            raise LauncherError("this daemon cannot run host jobs")
        if isinstance(action, act.StartAttempt):
            of = await self._spec_of(action)
            start = functools.partial(self._started, action, of, self._host.start)
            self.event_loop.post(await in_thread(action.container_name, start))
        else:
            perform = functools.partial(self._host.perform, action, self.event_loop.post)
            await in_thread(action.container_name, perform)

    def dispatch(self, action: act.Action) -> None:
        """Start to carry out an action; it is retried until it has a result."""
        task = asyncio.create_task(self._insist(action))
        self._tasks[task] = (action, time.monotonic())
        task.add_done_callback(self._tasks.pop)

    def under_way(self) -> Iterator[tuple[act.Action, float]]:
        """Yield each action that has no result yet, with the monotonic time of its decision."""
        yield from self._tasks.values()

    def stuck_pools(self) -> Iterator[str]:
        """Yield the pools that have had no free thread for a while."""
        return self.pools.exhausted()

    async def _insist(self, action: act.Action) -> None:
        """Carry out an action, retrying after unexpected failures: every action is idempotent."""
        level = logging.INFO
        while True:
            try:
                await self._method(action)(action)
                return
            except (EngineUnavailable, Unknown) as away:
                about_event(log, action).log(
                    level, "%s waits for Docker: %s", type(action).__name__, away.message
                )
                level = logging.DEBUG  # logged at a higher level only once
            except Exception:
                about_event(log, action).exception("%s failed, retrying", action)
            await asyncio.sleep(TRY_AGAIN_SECONDS)

    @staticmethod
    async def _on(pool: ThreadPoolExecutor, call: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(pool, call, *args)

    async def _for(self, job_id: int, pool: FairPool, call: Callable[..., Any], *args: Any) -> Any:
        """Call Docker for a job; the time is charged to its owner."""
        job = self.event_loop.world.jobs.get(job_id)
        return await pool.run(0 if job is None else job.owner.uid, call, *args)

    async def _spec_of(self, action: act.StartAttempt) -> SpecOf:
        """Return an attempt's spec (or why it is unavailable), its owner and its deadline."""
        job = self.event_loop.world.jobs.get(action.job)
        if job is None:
            raise LauncherError(f"job {action.job} no longer exists")
        limit = job.time_limit
        deadline = clock.rfc3339(clock.now().wall + limit) if limit is not None else None
        spec: JobSpec | str
        try:
            spec = await self._spec(action.job)
        except (LauncherError, ValueError) as error:
            spec = f"the stored request cannot be read: {error}"
        return spec, job.owner, deadline

    async def _start(self, action: act.StartAttempt) -> None:
        of = await self._spec_of(action)
        self._starting += 1
        try:
            start = self.starter.run
            event = await self._on(self.pools.starts, self._started, action, of, start)
        finally:
            self._starting -= 1
            if not self._starting:
                self._calm.set()
        self.event_loop.post(event)

    def _started(self, action: act.StartAttempt, of: SpecOf, start: Start) -> ev.Event:
        spec, owner, deadline = of
        admin = self._roles.caller(owner).admin
        if isinstance(spec, str) or not spec.foreground:
            self.log_use.begin(action.job, action.attempt, owner, admin=admin)
        request = spec if isinstance(spec, str) else self._policy_input(action, spec, owner)
        event = start(action, request, deadline, lambda: self._wanted(action))
        if not isinstance(event, ev.AttemptStarted):
            self.log_use.end(action.job, action.attempt)
        return event

    def _policy_input(self, action: act.StartAttempt, spec: JobSpec, owner: Owner) -> PolicyInput:
        """Return the policy's input, with the owner's current groups and role. Thread-safe."""
        world = self.event_loop.world
        memory = memory_with(world, action.slices, spec.cpus)
        return self._roles.policy_input(spec, owner, world.rules.policy, memory)

    def _wanted(self, action: act.StartAttempt) -> bool:
        """Whether no request to stop the attempt has arrived yet. Thread-safe."""
        job = self.event_loop.world.jobs.get(action.job)
        return job is not None and job.attempt == action.attempt and not job.stopping

    @property
    def removing(self) -> bool:
        """Whether a log is still being completed, or a container removed."""
        return bool(self._removing)

    def remember(self, specs: Iterable[tuple[int, JobSpec]]) -> None:
        """Cache the short specs of the first jobs that were just queued: the next ones to start."""
        first = itertools.islice(specs, REMEMBERED_SPECS)
        self._specs.update((job_id, spec) for job_id, spec in first if _is_short(spec))
        while len(self._specs) > REMEMBERED_SPECS:
            self._specs.popitem(last=False)

    async def _spec(self, job_id: int) -> JobSpec:
        """Return a job's spec, from the cache or the store. Specs stay in the store."""
        spec = self._specs.get(job_id)
        if spec is not None:
            return spec
        stored = await self._committer.read(Reader.spec, job_id)
        if stored is None:
            raise LauncherError(f"the request of job {job_id} is not stored")
        return made_again(stored)

    async def _follow(self, action: act.FollowAttempt) -> None:
        follower = Follower(
            action, self._containers, self._logs,
            post=self.event_loop.post,
            idle=self._idle_check.idle_now,
            grown=self._subscriptions.touch,
            log_lost=self._subscriptions.lose_log,
            log_written=self._log_written,
            watched=self._subscriptions.watched,
            journal=self._journal,
            directory=self._log_directory,
            log_limit=self.log_use.limit(action.job, action.attempt),
            capture=self.starter.capture,
            witness=self.starter.witness,
            measured=self._measuring.of_container,
            under=self.starter.under.pop(action.container_name, None),
        )  # fmt: skip
        self.log_use.resume(action.job, action.attempt)
        self._followers[(action.job, action.attempt)] = follower
        self._subscriptions.owe_log(action.job, action.attempt)
        follower.start()

    def _log_written(self, job_id: int, attempt: int) -> None:
        self.log_use.end(job_id, attempt)
        self._subscriptions.log_written(job_id, attempt)

    async def _stop(self, action: act.StopAttempt) -> None:
        await self._for(action.job, self.pools.ends, self._ask_to_stop, action)

    def _ask_to_stop(self, action: act.StopAttempt) -> None:
        container = self._containers.find(action.container_name, action.container_id)
        if container is not None and container.running:
            with around("stop"):
                self._containers.kill(container.name, container.stop_signal)
        elif container is not None and self.starter.witness.runs(container):
            self.starter.witness.signal(container, container.stop_signal)

    async def _kill(self, action: act.KillAttempt) -> None:
        while True:
            if await self._for(action.job, self.pools.ends, self._killed, action):
                return
            await asyncio.sleep(TRY_AGAIN_SECONDS)

    def _killed(self, action: act.KillAttempt) -> bool:
        """Send KILL, then inspect; returns whether the container has stopped.

        Docker does not answer an inspect while a container ends, for seconds if its log is behind.
        """
        self._containers.kill(action.container_name, "SIGKILL")
        container = self._containers.find(action.container_name, action.container_id)
        if container is not None and container.name != action.container_name:  # it was renamed
            self._containers.kill(container.name, "SIGKILL")
        if container is None or container.running:
            return container is None
        self.starter.witness.signal(container, "SIGKILL")
        return not self.starter.witness.runs(container)

    async def _signal(self, action: act.SignalAttempt) -> None:
        try:
            kill = self._containers.kill
            await self._for(
                action.job, self.pools.signals, kill, action.container_name, action.signal
            )
        except (Refused, Unknown, EngineUnavailable) as error:
            about_container(log, action.container_name).warning(
                "could not send %s: %s", action.signal, error.message
            )

    async def _prove(self, action: act.ProveIdle) -> None:
        await self._on(self.pools.proofs, self._idle_check.prove, action, self.event_loop.post)

    async def _remove(self, action: act.RemoveContainer) -> None:
        if action.container_name in self._removing:
            return
        self._removing.add(action.container_name)
        follower = self._followers.get(key := (action.job, action.attempt))
        try:
            await self._calm_moment()
            await self._on(self.pools.removals, self._complete_log, action, follower)
            await self._on(self.pools.removals, self._log_written, *key)
            async with self._one_removal:
                await self._calm_moment()
                await self._on(self.pools.removals, self._containers.remove, action.container_name)
        finally:
            self._removing.discard(action.container_name)
        await self._on(self.pools.removals, self._unpin, action)
        self._followers.pop(key, None)

    def _unpin(self, action: act.RemoveContainer) -> None:
        self._journal.clear(action.container_name)
        self.starter.capture.forget(action.job, action.attempt)
        self.starter.witness.forget(action.container_name)
        try:
            self.starter.places.clear(action.container_name)
            self.starter.pins.release(action.container_name)
            self._homes.retire(action.container_name)
        except LauncherError as left:  # the next start sweeps
            about_event(log, action).warning("could not remove its mounts: %s", left.message)

    async def _calm_moment(self) -> None:
        """Let starts go first, unless too many ended containers wait for removal."""
        if self._starting and len(self._removing) < LEFT_OVER:
            self._calm.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CALM_SECONDS):
                    await self._calm.wait()

    def _complete_log(self, action: act.RemoveContainer, follower: Follower | None) -> None:
        """Wait for the follower; without one (a daemon died in between), write the log."""
        if follower is None:
            result = self._containers.inspect(action.container_name)
            if result is not None and not result.ever_started:
                return
        elif not follower.finished(LOG_WAIT_SECONDS) or not follower.log_left:
            return
        over = clock.flag()
        over.set()
        path = path_of(self._log_directory, action.job, action.attempt)
        touch = functools.partial(self._subscriptions.touch, action.job)
        limit = self.log_use.limit(action.job, action.attempt)
        if not write_log(self._logs, action.container_name, path, limit, over, touch):
            self._subscriptions.lose_log(action.job, action.attempt)
        touch()

    async def _change_layout(self, action: act.CarveStep | act.LookAtLayout) -> None:
        if isinstance(action, act.CarveStep):
            self.event_loop.post(await self.layouts.carve(action))
        else:
            self.event_loop.post(await self.layouts.look(action))

    def close(self) -> None:
        """Release the threads; running calls end on their own, jobs continue."""
        for task in self._tasks:
            task.cancel()
        self.pools.close()


def _is_short(spec: JobSpec) -> bool:
    paths = [path for bind in spec.volumes for path in (bind.source, bind.target)]
    texts = (spec.command or (), spec.entrypoint or (), *spec.environment.items(), paths)
    return sum(len(text) for some in texts for text in some) <= REMEMBERED_CHARACTERS
