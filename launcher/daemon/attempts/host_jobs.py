"""Runs attempts of host jobs: process trees that the helper keeps, without a container.

An earlier daemon may have made every call before; the helper knows each attempt by its name.
Blocking; runs in threads.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from launcher.config.settings import Config
from launcher.core.messages import actions as act
from launcher.core.messages.events import (
    AttemptEnded,
    AttemptLost,
    AttemptStarted,
    Event,
    StartFailure,
)
from launcher.core.model.gpu import Slice
from launcher.core.policy.policy import PolicyInput
from launcher.daemon.attempts.background_start import spawned
from launcher.daemon.attempts.foreground_turns import ForegroundTurn, ForegroundTurns
from launcher.daemon.attempts.measuring import Measuring
from launcher.daemon.attempts.start_errors import NotStarted, must_be_wanted
from launcher.daemon.loop import clock
from launcher.daemon.machine.idle_check import Engine, IdleCheck
from launcher.daemon.output.host_output import HostOutput
from launcher.daemon.output.retrying import LOOK_AGAIN_SECONDS, insist
from launcher.engine.own import own_container
from launcher.engine.spec import own_variables
from launcher.errors import InternalError
from launcher.host import starting
from launcher.host.cgroup import CgroupLimits, unified_root
from launcher.host.cgroup_usage import NO_USAGE
from launcher.host.client import Expectation, HostHelper, HostRefused, HostUnavailable, ProcessTree
from launcher.host.freezing import set_frozen
from launcher.host.terminal.connecting import TerminalSockets
from launcher.pidfd import exit_code

CLIENT_SECONDS = 15.0
"""A foreground job fails if its client is connected but starts nothing for this long."""
HELPER_SECONDS = 10.0
"""A start waits for at most this time for an unreachable helper."""
NANO = 1e9


@dataclass(frozen=True, slots=True)
class FoundTree:
    """A process tree in the form of a container: its id, and whether it runs."""

    id: str
    running: bool


class Trees:
    """Finds process trees as ``IdleCheck`` finds containers; a tree's id is its name."""

    def __init__(self, helper: HostHelper) -> None:
        self._helper = helper

    def find(self, name: str, _: str | None = None) -> FoundTree:
        """Return an attempt's tree; raises ``HostUnavailable``."""
        return FoundTree(name, self._helper.state(name)[1])

    def is_empty(self, name: str) -> bool:
        """Whether an attempt has no processes; False if unknown."""
        try:
            return not self._helper.state(name)[1]
        except HostUnavailable:
            return False


@dataclass(frozen=True, slots=True)
class HostMachine:
    """The means to run host jobs: the helper, its users' socket, and the available controllers."""

    helper: HostHelper
    join_path: str
    controllers: frozenset[str]
    """The controllers of cgroup v2 that can limit jobs."""
    terminals: TerminalSockets
    may_have_jobs: Callable[[], bool]
    """Whether a helper has run since the boot. If not, none is started just for a query."""


def machine_of(config: Config, terminals: TerminalSockets) -> HostMachine | None:
    """Return the means to run host jobs; None if they cannot run.

    They need root privileges and cgroup v2 (``unified_root``). In a container the helper would not
    see the caller's machine.
    """
    root = unified_root()
    if os.geteuid() != 0 or root is None or own_container() is not None:
        return None
    if config.host_socket is not None:
        place = Path(config.host_socket).parent
        helper, has_run = HostHelper(config.host_socket), lambda: True
    else:
        place = config.socket.parent
        helper = HostHelper(str(place / starting.DAEMONS), start=lambda: starting.start(place))
        has_run = (place / starting.RECORDS).exists
    controllers = frozenset((root / "cgroup.controllers").read_text().split())
    return HostMachine(helper, str(place / starting.USERS), controllers, terminals, has_run)


def set_frozen_of(config: Config) -> Callable[[Path, bool], None]:
    """Return the function that freezes a container: the helper's if systemd runs it."""
    return set_frozen if config.host_socket is None else HostHelper(config.host_socket).set_frozen


class HostJobs:
    """Starts, follows and ends the attempts of host jobs."""

    def __init__(
        self,
        machine: HostMachine,
        idle_check: Callable[[Engine], IdleCheck],
        turns: ForegroundTurns,
        output: HostOutput,
        check_slices: Callable[[tuple[Slice, ...]], None],
        watched: Callable[[int], bool],
        measuring: Measuring,
    ) -> None:
        """``check_slices`` raises ``NotStarted`` for slices that are not free; ``watched`` returns
        whether a job is followed."""
        self._helper, self._join_path, self._output = machine.helper, machine.join_path, output
        self._terminals = machine.terminals
        self._idle_check, self._turns = idle_check(Trees(machine.helper)), turns
        self._check_slices, self._watched = check_slices, watched
        self._measuring = measuring

    def start(
        self,
        action: act.StartAttempt,
        request: PolicyInput | str,
        deadline: str | None,
        wanted: Callable[[], bool],
    ) -> Event:
        """Return the outcome of the start; it is never left open."""
        name = action.container_name
        if action.before_boot:
            return AttemptLost(action.job, action.attempt, "the machine was rebooted as it started")
        if action.resumed and (tree := insist(lambda: self._helper.state(name)[0])):
            return self._started(action, tree)
        try:
            if isinstance(request, str):
                raise NotStarted(StartFailure.USER, request)
            if action.unfit is not None:
                raise NotStarted(StartFailure.SLICE_CHANGED, action.unfit)
            self._check_slices(action.slices)
            variables = _variables(action, deadline)
            if request.spec.foreground:
                tree = self._joined(action, request, variables, wanted)
            else:
                keeps = (self._helper, self._output, self._terminals)
                tree = spawned(action, request, variables, *keeps, wanted)
            return self._started(action, tree)
        except NotStarted as failed:
            self._terminals.remove(name)
            return failed.event(action)

    def _joined(
        self,
        action: act.StartAttempt,
        request: PolicyInput,
        variables: Mapping[str, str],
        wanted: Callable[[], bool],
    ) -> ProcessTree:
        """Let the client start the command; return the tree once it has joined."""
        until = clock.now().boot + HELPER_SECONDS
        while True:
            try:
                return self._expected(action, request, variables, wanted)
            except HostRefused as refused:
                raise NotStarted(StartFailure.INFRA, f"host job: {refused.message}") from refused
            except HostUnavailable as away:
                if clock.now().boot > until:
                    raise NotStarted(StartFailure.INFRA, away.message) from away
            finally:
                self._turns.withdraw(action.job)
            must_be_wanted(wanted)
            clock.sleep(LOOK_AGAIN_SECONDS)

    def _expected(
        self,
        action: act.StartAttempt,
        request: PolicyInput,
        variables: Mapping[str, str],
        wanted: Callable[[], bool],
    ) -> ProcessTree:
        spec, name = request.spec, action.container_name
        if (tree := self._helper.state(name)[0]) is not None:
            return tree  # it had joined when the helper ended
        limits = CgroupLimits(spec.mem_limit, spec.cpus)
        with self._helper.expected(name, request.person.owner.uid, limits) as expectation:
            turn = ForegroundTurn(expectation.token, self._join_path, variables)
            self._turns.offer(action.job, turn)
            return self._awaited(action, expectation, wanted)

    def _awaited(
        self, action: act.StartAttempt, expectation: Expectation, wanted: Callable[[], bool]
    ) -> ProcessTree:
        until = clock.now().boot + CLIENT_SECONDS
        while (tree := expectation.joined(LOOK_AGAIN_SECONDS)) is None:
            must_be_wanted(wanted)
            if clock.now().boot > until:
                state = "did not start its command" if self._watched(action.job) else "is gone"
                raise NotStarted(StartFailure.USER, f"its turn came, but its client {state}")
        return tree

    def _started(self, action: act.StartAttempt, tree: ProcessTree) -> AttemptStarted:
        at = clock.rfc3339(tree.started_ns / NANO)
        return AttemptStarted(action.job, action.attempt, action.container_name, at)

    def _end(self, action: act.FollowAttempt) -> Event:
        name = action.container_name
        if action.before_boot:
            why = "the machine was rebooted while it ran"
            return AttemptLost(action.job, action.attempt, why, action.slices)
        tree = insist(lambda: self._helper.wait(name))
        while insist(
            lambda: self._helper.state(name)[1]
        ):  # without a record, wait for the cgroup to empty
            clock.sleep(LOOK_AGAIN_SECONDS)
        self._output.over(action)
        idle = self._idle_check.idle_now(action.slices, name)
        usage = NO_USAGE if tree is None else tree.usage
        measured = self._measuring.of_usage(action.job, action.attempt, usage)
        if tree is None or tree.status is None or tree.ended_ns is None:
            why = "its exit status is unknown: the process that waited for it was killed"
            return AttemptLost(action.job, action.attempt, why, idle, measured=measured)
        times = clock.rfc3339(tree.started_ns / NANO), clock.rfc3339(tree.ended_ns / NANO)
        end = (exit_code(tree.status), tree.oom, *times, idle)
        return AttemptEnded(action.job, action.attempt, *end, measured=measured)

    def perform(self, action: act.OfAttempt, post: Callable[..., None]) -> None:
        """Carry out an action other than a start; following blocks until the end. Repeatable.

        Raises ``HostUnavailable``.
        """
        name = action.container_name
        match action:
            case act.FollowAttempt():
                if self._output.has(action):
                    self._output.follow(action)
                post(self._end(action))
            case act.StopAttempt():
                self._helper.signal(name, signal.SIGTERM, tree=True)
            case act.KillAttempt():
                self._until_empty(name)
            case act.SignalAttempt():
                self._helper.signal(name, signal.Signals[action.signal], tree=False)
            case act.ProveIdle():
                self._idle_check.prove(action, post)
            case act.RemoveContainer():
                self._until_empty(name)
                self._output.complete(action)
                self._terminals.remove(name)
                self._helper.remove(name)
            case _:
                raise InternalError(f"{type(action).__name__} is not for host jobs")

    def _until_empty(self, name: str) -> None:
        """Kill an attempt's processes until none is left."""
        self._helper.kill(name)
        while self._helper.state(name)[1]:
            clock.sleep(LOOK_AGAIN_SECONDS)
            self._helper.kill(name)


def _variables(action: act.StartAttempt, deadline: str | None) -> dict[str, str]:
    """Return the launcher's variables for a command."""
    own = own_variables(action.job, action.attempt, action.slices, action.index, deadline)
    return {**own, "CUDA_VISIBLE_DEVICES": ",".join(s.uuid for s in action.slices)}
