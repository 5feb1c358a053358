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
