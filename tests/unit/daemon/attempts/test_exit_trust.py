"""Which ends that Docker tells are believed: the table of what it makes up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from launcher.core.messages.events import Now
from launcher.daemon.attempts import exit_trust
from launcher.daemon.loop import clock
from launcher.daemon.loop.clock import rfc3339
from launcher.engine.containers import Container
from launcher.engine.dockerd_identity import DockerdIdentity

BOOTED, NOW = 1_000.0, 10_000.0
OLD, NEW = DockerdIdentity(10, 1, 2_000.0), DockerdIdentity(20, 2, 6_000.0)


class At(clock.System):
    """A machine that booted at 1000 s, at 10000 s."""

    def now(self) -> Now:
        return Now(NOW, NOW - BOOTED)

    def booted_at(self) -> float:
        return BOOTED


@pytest.fixture(autouse=True)
def kept() -> Iterator[None]:
    with clock.replaced_by(At()):
        yield


def ended(code: int, started: float = 3_000.0, finished: float = 4_000.0) -> Container:
    """Return a container that ran from then to then."""
    times: dict[str, Any] = {
        "started_at": rfc3339(started), "finished_at": rfc3339(finished),
    }  # fmt: skip
    return Container("c1", "c", "exited", False, 0, code, "", False, **times, labels={}, info={})


def why(
    found: Container,
    seen: DockerdIdentity | None = OLD,
    now: DockerdIdentity | None = NEW,
    *,
    live: bool = True,
    saw_end: bool = False,
) -> str | None:
    if not exit_trust.is_doubtful(found):
        return None
    before, after = (one and replace(one, live_restore=live) for one in (seen, now))
    return exit_trust.why_lost(found, before, after, lambda: saw_end)


@pytest.mark.parametrize("code", [0, 1, 7, 139])
def test_a_programs_own_code_is_believed_whatever_happened_to_dockerd(code: int) -> None:
    assert why(ended(code), live=False) is None


@pytest.mark.parametrize("code", [137, 143])
def test_a_kill_while_dockerd_went_is_its_own_without_live_restore(code: int) -> None:
    assert "without live-restore" in (why(ended(code), live=False) or "")
    assert why(ended(code), live=True) is None
    assert why(ended(code), seen=NEW, live=False) is None, "it was seen running after the restart"
    assert why(ended(code, started=7_000.0, finished=8_000.0), live=False) is None


@pytest.mark.parametrize("code", [137, 143])
def test_a_dockerd_that_went_as_it_began_may_have_ended_it_with_live_restore_too(code: int) -> None:
    told = why(ended(code, started=5_990.0, finished=5_991.0))
    assert told == f"Docker was restarted as it started, and may have ended it (exit {code})"
    assert why(ended(code, started=5_900.0, finished=5_991.0)) is None, "it had run for long"
    assert why(ended(7, started=5_990.0, finished=5_991.0)) is None


def test_what_counts_is_the_dockerd_that_it_ran_under_not_the_one_that_came_after() -> None:
    old, new = replace(OLD, live_restore=False), replace(NEW, live_restore=True)
    assert exit_trust.why_lost(ended(137), old, new, bool) is not None
    assert exit_trust.why_lost(ended(137), None, new, bool) is None, "nobody knows which it was"


def test_a_container_that_ran_out_of_memory_was_killed_for_that() -> None:
    assert why(replace(ended(137), oom=True), live=False) is None


def test_255_at_dockerds_start_is_what_it_says_of_those_it_does_not_know() -> None:
    assert "does not know how it ended" in (why(ended(255, finished=6_001.0)) or "")
    assert why(ended(255, finished=5_000.0)) is None, "its containerd knew it from before"
    assert why(ended(255, finished=7_000.0)) is None, "long after the restart"
    assert why(ended(255, finished=6_001.0), seen=NEW) is None


def test_0_at_dockerds_start_is_believed_where_it_has_an_event_of_the_end() -> None:
    at_start = ended(0, finished=6_001.0)
    assert "does not know how it ended" in (why(at_start) or "")
    assert why(at_start, saw_end=True) is None
    assert why(at_start, seen=NEW) is None, "it was seen running after the restart"
    assert why(ended(0, finished=5_999.9)) is None, "it ended while dockerd was away"
    assert why(ended(0, finished=7_000.0)) is None, "long after the restart"


@pytest.mark.parametrize(("code", "finished", "believed"), [
    (0, 4_000.0, True), (0, 5_000.0, False), (0, 5_001.0, False),
    (7, 5_001.0, True), (255, 4_000.0, False),
])  # fmt: skip
def test_0_is_believed_of_a_missed_end_where_its_time_is_before_that_was_seen(
    code: int, finished: float, believed: bool
) -> None:
    assert (exit_trust.why_missed(ended(code, finished=finished), 5_000.0) is None) is believed


def test_where_the_kernel_does_not_tell_which_dockerd_answers_docker_is_believed() -> None:
    assert why(ended(255, finished=6_001.0), now=None) is None


@pytest.mark.parametrize("code", [0, 1, 137, 255])
def test_no_code_is_believed_of_an_end_after_the_boot_of_a_start_before_it(code: int) -> None:
    found = ended(code, started=500.0, finished=1_020.0)
    assert exit_trust.why_rebooted(found) == "the machine was rebooted while it ran"


def test_what_runs_or_began_after_the_boot_was_not_ended_by_it() -> None:
    assert (
        exit_trust.why_rebooted(replace(ended(7), running=True, started_at=rfc3339(500.0))) is None
    )
    assert exit_trust.why_rebooted(ended(7, started=1_100.0, finished=1_200.0)) is None


def test_a_code_from_before_the_boot_is_believed_but_255() -> None:
    assert exit_trust.why_rebooted(ended(9, started=500.0, finished=900.0)) is None
    assert exit_trust.why_rebooted(ended(255, started=500.0, finished=900.0)), "of an earlier boot"


def test_an_end_without_times_is_no_matter_of_doubt() -> None:
    bare = replace(ended(137), started_at=None, finished_at=None)
    assert why(bare, live=False) is None


@pytest.mark.parametrize("code", [0, 1, 255])
def test_an_end_without_a_time_is_none_whatever_its_code(code: int) -> None:
    found = replace(ended(code), finished_at=None)
    assert exit_trust.why_unknown(found) == "Docker has no record of its end"
    assert exit_trust.why_unknown(ended(code)) is None


def test_a_container_that_ran_and_was_never_started_has_no_end() -> None:
    found = replace(ended(0), started_at=None, finished_at=None, status="created")
    assert exit_trust.why_unknown(found) == "Docker no longer has a record that it ran"
