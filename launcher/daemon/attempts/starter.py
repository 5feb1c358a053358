"""Runs an attempt's container: verify, create, start, inspect. Blocking; runs in a thread.

An earlier daemon may have made every call before; the deterministic name shows that (I3). A
container that may have started is never started again (I14).
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from launcher.core.messages.actions import StartAttempt
from launcher.core.messages.events import AttemptLost, AttemptStarted, StartFailed, StartFailure
from launcher.core.policy.policy import PolicyInput
from launcher.daemon.access.job_ports import JobPorts
from launcher.daemon.attempts.container_plan import ContainerPlan
from launcher.daemon.attempts.exit_trust import why_rebooted
from launcher.daemon.attempts.exit_witness import ExitWitness
from launcher.daemon.attempts.slice_check import SliceCheck
from launcher.daemon.attempts.start_errors import (
    CommandNotStarted,
    NetworkMissing,
    NotStarted,
    Vanished,
    must_be_ours,
    must_be_wanted,
    never_ran,
    refused_start,
)
from launcher.daemon.attempts.start_journal import StartJournal, StartRecord, life_of
from launcher.daemon.attempts.start_witness import look_without_docker, must_have_started
from launcher.daemon.loop import clock
from launcher.daemon.loop.logging_setup import about_container, about_event
from launcher.daemon.machine.devices import Devices
from launcher.daemon.mounts.container_directories import Directories
from launcher.daemon.mounts.job_homes import JobHomes
from launcher.daemon.mounts.secret_mounts import SecretMounts
from launcher.daemon.mounts.secret_store import SecretStore
from launcher.daemon.output.capture import Capture
from launcher.daemon.output.retrying import LOOK_AGAIN_SECONDS, insist
from launcher.engine import inspect_check
from launcher.engine.attach import Streams
from launcher.engine.containers import Container, Containers
from launcher.engine.dockerd_identity import DockerdIdentity
from launcher.engine.outcome import Refusal, Refused, Unknown, broke_off
from launcher.errors import EngineUnavailable, LauncherError
from launcher.mount_helper import Pins

log = logging.getLogger(__name__)
T = TypeVar("T")

SETTLE_SECONDS = 1.0
"""Time limit of a start whose response was lost, once Docker answers again: inspect waits for the
container's lock (moby container.Lock), and Docker first reads what waits in its socket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Starter:
    """Starts attempts of one store on one engine."""

    containers: Containers
    slice_check: SliceCheck
    store: str
    devices: Devices
    journal: StartJournal
    pins: Pins
    pins_directory: str
    secrets: SecretStore
    places: SecretMounts
    directories: Directories
    job_homes: JobHomes
    capture: Capture
    ports: JobPorts | None = None
    witness: ExitWitness
    under: dict[str, DockerdIdentity | None] = field(default_factory=dict)
    """Container name -> the dockerd that was asked to start it; for the follower."""

    def run(
        self,
        action: StartAttempt,
        request: PolicyInput | str,
        deadline: str | None,
        wanted: Callable[[], bool] = lambda: True,
    ) -> AttemptStarted | StartFailed | AttemptLost:
        """Return the outcome of the start; it is never left open.

        ``request`` is the owner's request, or why it is unavailable. ``wanted`` returns whether the
        attempt is still to start; it is called right before each step.
        """
        plan = self.plan(action, request, deadline) if isinstance(request, PolicyInput) else request
        try:
            runs = self._ensure_once_more(action, plan, wanted)
        except (Vanished, NotStarted) as failed:
            self.under.pop(action.container_name, None)  # it will not be followed
            return _outcome(action, failed, plan.masked if isinstance(plan, ContainerPlan) else str)
        started_at = runs.started_at or clock.rfc3339(clock.now().wall)
        return AttemptStarted(action.job, action.attempt, runs.id, started_at)

    def plan(
        self, action: StartAttempt, request: PolicyInput, deadline: str | None
    ) -> ContainerPlan:
        """Return the intended container of an attempt."""
        return ContainerPlan(
            action=action,
            request=request,
            store=self.store,
            deadline=deadline,
            pins_directory=self.pins_directory,
            secrets=self.secrets,
            places=self.places,
            devices=self.devices,
            directories=self.directories,
            job_homes=self.job_homes,
            job_network=self.containers.networks.of_one_start(),
        )

    def _ensure_once_more(
        self, action: StartAttempt, plan: ContainerPlan | str, wanted: Callable[[], bool]
    ) -> Container:
        """Start it; retry a start that was provably aborted before the command started, or for
        which the network was missing."""
        try:
            return self._ensure(action, plan, wanted)
        except (CommandNotStarted, NetworkMissing) as broken:
            name = action.container_name
            about_event(log, action).warning("%s; starting it again", broken)
            self.journal.clear(name)
            if isinstance(broken, NetworkMissing) and isinstance(plan, ContainerPlan):
                plan = replace(plan, job_network=self.containers.networks.of_next_start())
            self._when_docker_answers(lambda: self.containers.remove(name), name)
            return self._ensure(replace(action, resumed=False), plan, wanted)

    def _ensure(
        self, action: StartAttempt, plan: ContainerPlan | str, wanted: Callable[[], bool]
    ) -> Container:
        """Have the attempt's container run: prepare, create, start, verify."""
        earlier = container = self._prepare(action)
        if container is None:
            must_be_wanted(wanted)
            if isinstance(plan, str):
                raise NotStarted(StartFailure.USER, plan)
            container_id = self._create(action, plan)
            self._give_directory(action, plan)
            container = self._start(action, container_id, wanted, plan.streams)
        elif not (self._has_started(container) or container.error):
            # A reboot, or another daemon, may have removed its mounts.
            if isinstance(plan, ContainerPlan):
                plan.pin(self.pins, self._dockerd_pid, fresh=False)
                self._give_directory(action, plan)
            container = self._start(action, container.id, wanted, container.streams)
        self._verify(container, action, plan, created_now=earlier is None)
        if self.ports is not None:
            self.ports.try_to_open(container)
        return container

    def _prepare(self, action: StartAttempt) -> Container | None:
        """Return the container of an earlier try, if usable; otherwise check the slices.

        Raises ``Vanished`` if an earlier try may have run, ``NotStarted`` if none can be created.
        """
        container = self._look(action.container_name) if action.resumed else None
        record = self.journal.record_of(action.container_name) if action.resumed else None
        if container is None and record is not None:
            raise Vanished(_removed(action.container_name), record.container_id)
        if container is not None:
            must_be_ours(container, action, self.store)
            if container.ever_started and action.before_boot and (why := why_rebooted(container)):
                raise Vanished(why, container.id)
            self._must_not_have_run(container, action.container_name)
        if container is None or not container.ever_started:
            if action.unfit is not None:
                raise NotStarted(StartFailure.SLICE_CHANGED, action.unfit)
            self.slice_check.check(action.slices)
        return container

    def _verify(
        self,
        container: Container,
        action: StartAttempt,
        plan: ContainerPlan | str,
        *,
        created_now: bool,
    ) -> None:
        """Raise ``NotStarted`` unless it runs as planned; kill it if it has more (I9)."""
        if not self._has_started(container):
            raise never_ran(container, None, action.slices)
        with_devices = self._when_docker_answers(self.devices.are_given, action.container_name)
        if isinstance(plan, str):
            devices = [s.uuid for s in action.slices] if with_devices else []
            faults = list(inspect_check.device_faults(container.info, devices))
        else:
            bounds = self._when_docker_answers(plan.bounds, action.container_name)
            if not created_now:
                bounds = inspect_check.as_created(container.info, bounds)
            faults = inspect_check.inspect_faults(container.info, bounds, limits=created_now)
        if faults:
            self._kill(action.container_name)
            text = f"killed after start: {'; '.join(faults)}"
            about_event(log, action).critical("%s: %s", action.container_name, text)
            raise NotStarted(StartFailure.TAMPERED, text)

    def _create(self, action: StartAttempt, plan: ContainerPlan) -> str:
        """Create the container; returns its id."""
        plan.check()
        plan.pin(self.pins, self._dockerd_pid, fresh=True)
        name, body = action.container_name, self._body(plan)
        while True:
            try:
                return self.containers.create(name, body)
            except EngineUnavailable as away:
                raise NotStarted(StartFailure.ENGINE_AWAY, away.message) from away
            except Unknown:
                if (result := self._look(name)) is not None:
                    must_be_ours(result, action, self.store)
                    return result.id
            except Refused as refused:
                if refused.refusal is not Refusal.CONFLICT:
                    raise refused_start(refused, action.slices) from refused
                if (result := self._look(name)) is not None:
                    must_be_ours(result, action, self.store)
                    return result.id

    def _give_directory(self, action: StartAttempt, plan: ContainerPlan) -> None:
        """Make the working directory the user's; a job may do without, so it starts anyway."""
        try:
            plan.give_directory(self.containers)
        except (EngineUnavailable, Unknown, Refused) as failed:
            about_event(log, action).warning(
                "its working directory keeps its owner: %s", failed.message
            )

    def _body(self, plan: ContainerPlan) -> dict[str, object]:
        try:
            return plan.body()
        except (EngineUnavailable, Unknown, Refused) as away:
            raise NotStarted(StartFailure.ENGINE_AWAY, away.message) from away

    def _start(
        self,
        action: StartAttempt,
        container_id: str,
        wanted: Callable[[], bool],
        streams: Streams,
    ) -> Container:
        name = action.container_name
        sent = action.resumed  # perhaps by an earlier daemon
        while True:
            refused: Refused | None = None
            if sent and (container := self._started_earlier(action, container_id)) is not None:
                return container
            self._note_dockerd(name, sent=sent)
            must_be_wanted(wanted)
            under = life_of(self.under[name])
            self.journal.set(name, StartRecord(under, container_id))
            self.capture.attach(action, under, streams)
            try:
                self.containers.start(name)
            except EngineUnavailable as away:
                if not sent:
                    raise NotStarted(StartFailure.ENGINE_AWAY, away.message) from away
            except Refused as error:
                refused = error
            except Unknown as unknown:
                sent = True
                about_event(log, action).warning("%s; inspecting", unknown.message)
                self._look_without_docker(name, container_id)
                continue
            container = self._look(name)
            if container is None and (sent or refused is None):
                raise Vanished(_removed(name), container_id)
            if container is None:
                raise NotStarted(StartFailure.INFRA, f"the container {name} vanished before start")
            if container.ever_started:
                return container
            if refused is not None or container.error:
                raise never_ran(container, refused, action.slices)

    def _started_earlier(self, action: StartAttempt, container_id: str) -> Container | None:
        """Return the container if an earlier start request started it; None to send one again.

        Raises ``Vanished`` if Docker has no such container: it may have run all the same.
        """
        name = action.container_name
        container = self._settled(name)
        if container is None:
            raise Vanished(_removed(name), container_id)
        self._must_not_have_run(container, name)
        if self._has_started(container):
            return container
        if container.error:
            raise never_ran(container, None, action.slices)
        return None

    def _look_without_docker(self, name: str, container_id: str) -> None:
        if (dockerd := self.under[name]) is not None:
            look_without_docker(self._dockerd_pid, dockerd, name, container_id, self.witness)

    def _note_dockerd(self, name: str, *, sent: bool) -> None:
        """Record which dockerd will get the start request; nothing starts without that record.

        Raises ``NotStarted`` if dockerd is down and has not received a request before (``sent``).
        """
        while True:
            try:
                self.under[name] = self.containers.incarnation()
            except EngineUnavailable as away:
                if not sent:
                    raise NotStarted(StartFailure.ENGINE_AWAY, away.message) from away
            except (Unknown, Refused) as lost:
                about_container(log, name).warning("waiting for Docker: %s", lost.message)
            else:
                return
            clock.sleep(LOOK_AGAIN_SECONDS)

    def _must_not_have_run(self, container: Container, name: str) -> None:
        """Raise ``Vanished`` for a container that may have run although Docker does not say so.

        Docker does not know of a start if dockerd was killed after its call to containerd and
        before it recorded the start (measured: 3 of 11), or if containerd did not answer.
        """
        record = self.journal.record_of(name)
        if record is None or self._has_started(container):
            return
        if broke_off(container.error):
            why = "containerd's response to its start was lost"
        elif record.dockerd and record.dockerd != self._dockerd_now(name):
            why = "Docker was restarted while it was being started"
        else:
            return
        must_have_started(name, container.id, self.witness, why)

    def _has_started(self, container: Container) -> bool:
        """Whether it runs or ran: by Docker's report, or because its process is or was held."""
        return container.ever_started or self.witness.holds(container)

    def _dockerd_pid(self) -> int | None:
        with contextlib.suppress(EngineUnavailable, Unknown, Refused):
            if (dockerd := self.containers.incarnation()) is not None:
                return dockerd.pid
        return None

    def _dockerd_now(self, name: str) -> str:
        return life_of(self._when_docker_answers(self.containers.incarnation, name))

    def _when_docker_answers(self, ask: Callable[[], T], name: str) -> T:
        """Return Docker's reply; wait while Docker is down."""

        def waits(away: LauncherError) -> None:
            about_container(log, name).warning("waiting for Docker: %s", away.message)

        return insist(ask, waits)

    def _settled(self, name: str) -> Container | None:
        """Inspect; if it does not run yet, inspect again after a moment: a second start request
        would run a short job twice."""
        container = self._look(name)
        if container is None or container.ever_started or container.error:
            return container
        clock.sleep(SETTLE_SECONDS)
        return self._look(name)

    def _look(self, name: str) -> Container | None:
        """Inspect until Docker answers: there is no other way to know (I3)."""
        container = self._when_docker_answers(lambda: self.containers.inspect(name), name)
        if container is not None:
            self.witness.watch(container)
        return container

    def _kill(self, name: str) -> None:
        while (result := self._look(name)) is not None and result.running:
            try:
                self.containers.kill(name, "SIGKILL")
            except (EngineUnavailable, Unknown, Refused) as error:
                about_container(log, name).warning(
                    "cannot kill %s, retrying: %s", name, error.message
                )
            clock.sleep(0.05)


def _outcome(
    action: StartAttempt, failed: Vanished | NotStarted, masked: Callable[[str], str]
) -> AttemptLost | StartFailed:
    if isinstance(failed, Vanished):
        text, container_id = masked(str(failed)), failed.container_id
        return AttemptLost(action.job, action.attempt, text, container_id=container_id)
    return failed.event(action, masked)


def _removed(name: str) -> str:
    return f"the container {name} was removed"
