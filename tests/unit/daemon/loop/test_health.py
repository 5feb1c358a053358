"""What is wrong with the daemon is in its log, once for each change."""

from __future__ import annotations

import logging

import pytest

from launcher.daemon.loop.health import Health


def test_a_problem_is_logged_when_it_comes_changes_and_goes_and_not_in_between(
    caplog: pytest.LogCaptureFixture,
) -> None:
    health = Health()
    with caplog.at_level(logging.INFO):
        for problem in (None, "away", "away", "refused", None, None):
            health.set("engine", problem)
    assert caplog.messages == ["engine: away", "engine: refused", "engine: resolved"]
    assert health.problems() == []


def test_a_problem_is_logged_once_while_only_its_amounts_change(
    caplog: pytest.LogCaptureFixture,
) -> None:
    health = Health()
    for seconds in range(30, 90):
        health.set("overdue", f"KillAttempt of job 7 for {seconds} s", key=7)
    health.set("overdue", "KillAttempt of job 8 for 90 s", key=8)
    assert health.problems() == ["KillAttempt of job 8 for 90 s"]
    health.set("overdue", None)
    assert [record.message for record in caplog.records] == [
        "overdue: KillAttempt of job 7 for 30 s",
        "overdue: KillAttempt of job 8 for 90 s",
        "overdue: resolved",
    ]
