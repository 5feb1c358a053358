"""Builds the parts of a daemon from its configuration, and connects them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import logging
from collections.abc import Callable, Mapping

from launcher.config.settings import Config
from launcher.core.messages import events as ev
from launcher.core.messages.actions import Action
from launcher.core.messages.changes import Changes
from launcher.core.model.job import Owner
from launcher.core.recovery.reconcile import resume
from launcher.daemon.access.job_ports import watch_ports
from launcher.daemon.access.terminals import watch_terminals
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.api.http.connections import ConnectionManager
from launcher.daemon.api.http.replies import Replies
from launcher.daemon.api.views.job_counts import Counts
from launcher.daemon.attempts import host_jobs, host_sweep
from launcher.daemon.attempts.action_runners import ActionRunners
from launcher.daemon.attempts.foreground_turns import ForegroundTurns
from launcher.daemon.attempts.measuring import Measuring
from launcher.daemon.attempts.slice_check import SliceCheck
from launcher.daemon.attempts.start_journal import StartJournal
from launcher.daemon.attempts.starter import Starter
from launcher.daemon.doctor.escapes import keeps_working_dir, toolkit_fixed
from launcher.daemon.doctor.nvml import unfit
from launcher.daemon.log_keeping import LogKeeping
from launcher.daemon.loop import clock, slowness
from launcher.daemon.loop.audit_log import Audit
from launcher.daemon.loop.change_counter import unstored_state
from launcher.daemon.loop.committer import Committer
from launcher.daemon.loop.event_loop import EventLoop
from launcher.daemon.loop.health import Health
from launcher.daemon.loop.subscriptions import Subscriptions
from launcher.daemon.loop.threads import in_thread
from launcher.daemon.machine import device_numbers
from launcher.daemon.machine.devices import Devices
from launcher.daemon.machine.disk_space import DiskFree
from launcher.daemon.machine.foreign_allowlist import ForeignAllowlist
from launcher.daemon.machine.foreign_use import ForeignUse
from launcher.daemon.machine.gpu_claims import GpuClaims
from launcher.daemon.machine.idle_check import IdleCheck
from launcher.daemon.machine.layout_steps import LayoutRunner
from launcher.daemon.machine.mig_device_nodes import MigDeviceNodes
from launcher.daemon.machine.observers import Observers, attempt_of
from launcher.daemon.machine.slice_samples import SliceSampler
from launcher.daemon.machine.tools import host_of
from launcher.daemon.machine.xid_watch import XidWatcher
from launcher.daemon.metrics.daemon_metrics import DaemonMetrics
from launcher.daemon.mounts import mounts
from launcher.daemon.mounts.container_directories import Directories
from launcher.daemon.mounts.home_keeper import HomeKeeper
from launcher.daemon.mounts.job_homes import JobHomes
from launcher.daemon.mounts.secret_mounts import places_of
from launcher.daemon.mounts.secret_store import SecretStore
from launcher.daemon.output.capture import Capture
from launcher.daemon.output.host_output import HostOutput
from launcher.daemon.outside import Outside
from launcher.daemon.recovery import layout_restore, recovery_mode
from launcher.daemon.recovery.first_reconcile import reconcile
from launcher.daemon.users.accounts import Accounts
from launcher.daemon.users.identity import roles_of
from launcher.daemon.users.rate_limits import Limiter
from launcher.engine.own import own_container
from launcher.errors import InternalError, LauncherError
from launcher.gpu import Carver
from launcher.gpu.refresh import refresh
from launcher.spec.job_spec import secrets_key_of
from launcher.store import Reader, Store

log = logging.getLogger(__name__)


class Daemon:
    """The wiring of one daemon."""

    def __init__(self, config: Config, store: Store, outside: Outside | None = None) -> None:
        self.config = config
        self.outside = outside or Outside.of(config)
        self.containers, self.gpu = self.outside.containers, self.outside.gpu
        self.accounts = Accounts(roles_of(config))
        self.health = Health()
        self.devices = Devices(self.gpu, self.containers, self.health)
        self.subscriptions = Subscriptions(lambda: unstored_state(self.event_loop.world))
        self.metrics = DaemonMetrics()
        self.committer = Committer(store, self.metrics.committed)
        self.claims = GpuClaims(config.lock_dir, store.id, self.gpu.device_node)
        self.allowed = ForeignAllowlist(config.foreign.allow)
        self.own_container = own_container()
        self.foreign = ForeignUse(
            self.containers, self.gpu, store.id, self.allowed, self._live,
            self.devices.are_given, self.own_container, MigDeviceNodes(host_of(config)),
        )  # fmt: skip
        self._prover_of = functools.partial(
            IdleCheck, gpu=self.gpu, health=self.health, allowed=self.allowed
        )
        self.idle_check = self._prover_of(self.containers)
        self.measuring = Measuring(
            self.outside.witness, SliceSampler(self.gpu), lambda: self.event_loop.world,
            self._sampled,
        )  # fmt: skip
        self.pins = self.outside.pins
        self.secrets = SecretStore(config.state_dir / "secrets", self._in_thread)
        self.places = places_of(config, self.pins)
        self.logs_directory, self.store_id = config.state_dir / "logs", store.id
        self.home_keeper = self._home_keeper()
        self.log_keeping = LogKeeping(config, self.committer, lambda: self.event_loop)
        self.log_use, self.retention = self.log_keeping.use, self.log_keeping.retention
        self.capture = self._capture()
        self.turns = ForegroundTurns(self.subscriptions.touch)
        self.audit = Audit(self.committer, lambda: clock.now().wall)
        refused = self.audit.refuse_connection
        self.connections = ConnectionManager(Limiter.of(config), refused=refused)
        self.stop, self.reconciled = asyncio.Event(), asyncio.Event()

    def _in_thread(self, call: Callable[[], None]) -> None:
        """Run a disk operation in a thread without waiting for it."""
        asyncio.get_running_loop().run_in_executor(self.runners.pools.removals, call)

    def _home_keeper(self) -> HomeKeeper:
        homes, seconds = self.outside.homes, self.config.sweep_seconds
        return HomeKeeper(homes, self.containers, self.store_id, lambda: self.event_loop, seconds)

    def _capture(self) -> Capture:
        return Capture(
            self.outside.keeper,
            self.config.docker_host,
            self.config.docker_timeout_seconds,
            self.logs_directory,
            self.log_use.limit,
            grew=self.subscriptions.touch,
            trouble=functools.partial(self.health.set, "output"),
        )

    async def start(self) -> EventLoop:
        """Read the store and resume the recorded work; return once requests can be served.

        Docker and NVML are compared with it in the background; only then the scheduler runs.
        """
        gc.disable()  # the world stays in memory; scanning it repeatedly takes a second
        world = await self.committer.load(self.config.cpu_slots, self.config.rules)
        owners = {job.owner.uid: job.owner for job in world.jobs.values()}
        unknown = await self.accounts.learn(world.groups, owners)
        world.boot = clock.boot_id()
        before, meant = await self.committer.read(Reader.metas, "boot_id", device_numbers.KEPT)
        self.foreign.numbers.recall(meant)
        self.rebooted = before not in (None, world.boot)
        if self.rebooted:
            world.clock = None  # CLOCK_BOOTTIME restarted
        actions = recovery_mode.taken_up(
            self.config, lambda: resume(world, clock.now(), rebooted=self.rebooted)
        )
        self.event_loop = EventLoop(
            world, self.committer, self._dispatch, self._changed, self.connections.time.spent,
            self.metrics.decided,
        )  # fmt: skip
        self.metrics.resume(world)
        self.observers = self._observers()
        self.runners = self._runners()
        await self._take_over_secrets()
        self.xids = XidWatcher(self.outside.events, self.event_loop.post)
        self.capture.start()
        self._tasks = self._start_tasks(unknown)
        for action in actions:
            self._dispatch(action)
        first = ev.DaemonDrained() if self.config.drain else ev.Tick()
        # Interrupted work is recorded before requests are served.
        await self.event_loop.request(first)
        gc.enable()
        gc.freeze()
        self._tasks.append(asyncio.create_task(self._observe(), name="observers"))
        return self.event_loop

    def _start_tasks(self, unknown: Mapping[int, Owner]) -> list[asyncio.Task[None]]:
        """Start the tasks that run until the daemon ends; ``unknown`` users are looked up again."""
        works = {
            "event loop": self.event_loop.run(),
            "audit": self.audit.run(),
            "watch": slowness.watch(self.health, self.runners),
            "logs": self.log_use.run(self.log_keeping.owners),
            "retention": self.retention.run(),
            "homes": self.home_keeper.run(),
        }
        loop, seconds = (lambda: self.event_loop), self.config.sweep_seconds
        if (terminals := self.outside.terminals) is not None:
            works["terminals"] = watch_terminals(terminals, loop, seconds)
        if (ports := self.outside.ports) is not None:
            works["ports"] = watch_ports(ports, loop, seconds)
        if unknown:
            works["groups"] = self.accounts.learn_all(lambda: self.event_loop.world.groups, unknown)
        return [asyncio.create_task(work, name=name) for name, work in works.items()]

    async def _take_over_secrets(self) -> None:
        """Remove secrets that no job needs, before new ones can be submitted."""
        if self.secrets.is_empty():
            return
        live = await self.committer.read(Reader.secrets_of_live)
        self.secrets.take_over((job, (uid, secrets_key_of(at))) for job, uid, at in live)

    def _dispatch(self, action: Action) -> None:
        self.runners.dispatch(action)

    def _changed(self, changes: Changes) -> None:
        self.subscriptions.changed(changes)
        self.secrets.changed(changes)

    def _sampled(self) -> None:
        """Use new samples of slices."""
        slices = self.event_loop.world.slices.values()
        self.metrics.peaks.sampled(slices, self.measuring.sampler.memory_used_mib)
        self.subscriptions.counter.add()

    def _container_names(self) -> list[str]:
        """Return the names of the live attempts' containers. Thread-safe."""
        return [attempt.container_name for attempt in list(self.event_loop.world.attempts.values())]

    def _live(self) -> Callable[[Mapping[str, str]], bool]:
        """Return a predicate for the labels of attempts that hold slices now. Thread-safe."""
        leases = list(self.event_loop.world.leases.values())
        live = {(lease.job, lease.attempt) for held in leases for lease in list(held)}
        return lambda labels: attempt_of(labels) in live

    def _observers(self) -> Observers:
        return Observers(
            config=self.config,
            event_loop=self.event_loop,
            containers=self.containers,
            images=self.outside.images,
            gpu=self.gpu,
            claims=self.claims,
            foreign=self.foreign,
            idle_check=self.idle_check,
            health=self.health,
            committer=self.committer,
            dispatch=self._dispatch,
            store=self.store_id,
            allowed=self.allowed,
            sample=self.measuring.sample,
        )

    def _layout_runner(self) -> LayoutRunner:
        host = host_of(self.config)
        return LayoutRunner(
            Carver(self.gpu),
            self.health,
            self.observers.look_at_gpus,
            functools.partial(refresh, host.root, host.repair, host.which),
            functools.partial(unfit, host, self.gpu, self.own_container is not None),
            self.foreign.numbers.moved,
        )

    async def _observe(self) -> None:
        self.xids.start()
        earlier = layout_restore.open_changes(self.event_loop.world)
        restore = functools.partial(layout_restore.restore, self.context(), earlier)
        parts = (self.event_loop, self.observers, self.health, self.committer)
        await reconcile(*parts, restore if self.rebooted else None)
        await in_thread("mounts", self._sweep_mounts)
        self.reconciled.set()
        self.metrics.reached("reconcile")
        self.xids.ready.set()
        await asyncio.gather(self.observers.run(), self._sweep_host_jobs())

    async def _sweep_host_jobs(self) -> None:
        if (machine := self.outside.host) is not None:
            await host_sweep.sweep(
                machine, self.store_id, self.event_loop, self.committer, self._dispatch
            )

    def _sweep_mounts(self) -> None:
        live, store = self._container_names, self.store_id
        mounts.sweep(self.config, self.pins, self.places, self.containers, store, live)
        self.home_keeper.sweep(live())
        with contextlib.suppress(LauncherError):
            self.outside.image_files.sweep()

    def _runners(self) -> ActionRunners:
        journal = StartJournal(self.config.state_dir / "starts")
        starter = Starter(
            containers=self.containers,
            slice_check=SliceCheck(self.gpu, self.foreign, self.allowed),
            store=self.store_id,
            devices=self.devices,
            journal=journal,
            pins=self.pins,
            pins_directory=self.config.pins_directory,
            secrets=self.secrets,
            places=self.places,
            directories=Directories(self.outside.image_files.config, self._runc_fixed),
            job_homes=JobHomes(self.outside.homes, self.outside.image_files.facts),
            capture=self.capture,
            ports=self.outside.ports,
            witness=self.outside.witness,
        )
        return ActionRunners(
            event_loop=self.event_loop,
            layouts=self._layout_runner(),
            containers=self.containers,
            images=self.outside.images,
            logs=self.outside.logs,
            starter=starter,
            host=self._host_jobs(self.outside.host, starter),
            journal=journal,
            roles=self.accounts.roles,
            toolkit_fixed=functools.partial(toolkit_fixed, host_of(self.config)),
            idle_check=self.idle_check,
            committer=self.committer,
            subscriptions=self.subscriptions,
            log_directory=self.logs_directory,
            log_use=self.log_use,
            homes=self.home_keeper,
            measuring=self.measuring,
        )

    def _host_jobs(
        self, machine: host_jobs.HostMachine | None, starter: Starter
    ) -> host_jobs.HostJobs | None:
        if machine is None:
            return None
        output = HostOutput(
            self.capture, machine.helper, self.logs_directory, self.log_use, self.subscriptions
        )
        return host_jobs.HostJobs(
            machine, self._prover_of, self.turns, output, starter.slice_check.check,
            self.subscriptions.watched, self.measuring,
        )  # fmt: skip

    def _runc_fixed(self) -> bool:
        return keeps_working_dir(self.containers.version(), host_of(self.config))

    def context(self) -> Context:
        """Return the context of the request handlers."""
        return Context(
            config=self.config,
            event_loop=self.event_loop,
            committer=self.committer,
            subscriptions=self.subscriptions,
            turns=self.turns,
            host=self.outside.host,
            health=self.health,
            credentials=self.runners.credentials,
            images=self.outside.images,
            pins=self.pins,
            secrets=self.secrets,
            places=self.places,
            remember=self.runners.remember,
            starter=self.runners.starter,
            log_directory=self.logs_directory,
            gpu=self.gpu,
            measuring=self.measuring,
            metrics=self.metrics,
            disk=DiskFree(self.config.state_dir),
            devices=self.devices,
            container=self.own_container,
            idle_check=self.idle_check,
            accounts=self.accounts,
            started_at=clock.rfc3339(clock.now().wall),
            stop=self.stop,
            reconciled=self.reconciled,
            connections=self.connections,
            audit=self.audit,
            replies=Replies(),
            counts=Counts(self.committer),
            log_use=self.log_use,
            retention=self.retention,
            home_keeper=self.home_keeper,
            terminals=self.outside.terminals,
            ports=self.outside.ports,
            users=self.runners.pools.requests,
        )

    def check(self) -> None:
        """Raise ``InternalError`` if the event loop has ended: a dead loop serves no request.

        A restart reads the store again; running jobs go on meanwhile.
        """
        for task in self._tasks:
            if task.done():
                log.critical("the task %s has ended", task.get_name(), exc_info=task.exception())
                raise InternalError(
                    f"the daemon's {task.get_name()} failed; its log has the details"
                )

    async def close(self) -> None:
        """Stop deciding and watching; containers and their jobs go on."""
        self.xids.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.audit.close()
        self.runners.close()
        self.accounts.close()
        self.committer.close()
        self.claims.release()
