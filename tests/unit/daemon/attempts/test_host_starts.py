"""Starts of host jobs in the foreground while the helper is away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from launcher.core.messages.actions import StartAttempt
from launcher.core.messages.events import AttemptStarted, StartFailed, StartFailure
from launcher.core.policy.policy import PolicyInput
from launcher.daemon.attempts import host_jobs
from launcher.daemon.attempts.foreground_turns import ForegroundTurns
from launcher.daemon.attempts.host_jobs import HostJobs
from launcher.host.client import HostUnavailable, ProcessTree
from launcher.host.terminal.connecting import TerminalSockets

TREE = ProcessTree(pid=7, started_ns=1, status=None, ended_ns=None, oom=False)
START = StartAttempt(1, 1, "host-feed-1-1", (), "")
ASKED = cast(
    PolicyInput,
    SimpleNamespace(
        spec=SimpleNamespace(foreground=True, mem_limit=None, cpus=None),
        person=SimpleNamespace(owner=SimpleNamespace(uid=0)),
    ),
)


class Helper:
    """A helper that is away for some requests; its jobs' commands join at once."""

    def __init__(self, away: float, *, ends_as_it_joins: bool = False) -> None:
        self.away, self.ends_as_it_joins = away, ends_as_it_joins
        self.has_joined = False

    def _answer(self) -> None:
        self.away -= 1
        if self.away >= 0:
            raise HostUnavailable("the helper for host jobs ended before it replied")

    def state(self, _: str) -> tuple[ProcessTree | None, bool]:
        self._answer()
        return (TREE, True) if self.has_joined else (None, False)

    @contextmanager
    def expected(self, *_: object) -> Iterator[Any]:
        assert not self.has_joined
        yield SimpleNamespace(token="0", joined=self._joined)

    def _joined(self, _: float) -> ProcessTree:
        self.has_joined = True
        self.away = int(self.ends_as_it_joins)
        self._answer()
        return TREE


def started(helper: Helper) -> object:
    sockets = TerminalSockets(Path("/nonexistent"))
    machine = SimpleNamespace(helper=helper, join_path="/run/join.sock", terminals=sockets)
    jobs = HostJobs(
        machine,  # type: ignore[arg-type]
        lambda engine: engine,  # type: ignore[arg-type, return-value]
        ForegroundTurns(lambda job: None),
        cast(Any, None),
        lambda slices: None,
        lambda job: True,
        cast(Any, None),
    )
    return jobs.start(START, ASKED, None, lambda: True)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_jobs, "LOOK_AGAIN_SECONDS", 0.001)
    monkeypatch.setattr(host_jobs, "HELPER_SECONDS", 0.1)


def test_it_waits_for_a_helper_that_is_just_being_started_again() -> None:
    assert isinstance(started(Helper(away=3)), AttemptStarted)


def test_a_command_that_had_joined_when_the_helper_ended_has_started() -> None:
    assert isinstance(started(Helper(away=0, ends_as_it_joins=True)), AttemptStarted)


def test_a_helper_that_stays_away_fails_this_start_and_closes_nothing_for_containers() -> None:
    failed = started(Helper(away=float("inf")))
    assert isinstance(failed, StartFailed)
    assert failed.failure is StartFailure.INFRA
    assert "the helper for host jobs" in failed.message
