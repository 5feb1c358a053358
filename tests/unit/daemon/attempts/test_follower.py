"""A container is removed only when its log was copied, however long that takes."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from launcher.core.messages.actions import FollowAttempt
from launcher.daemon.attempts.follower import Follower
from launcher.output.log_file import Limit, path_of
from tests.support.wait import wait_until

PATIENCE = 0.5


def follower(directory: Path) -> Follower:
    nothing: Any = None
    return Follower(
        FollowAttempt(7, 1, "launch-feed-7-1", ()),
        nothing,
        nothing,
        post=nothing,
        idle=nothing,
        grown=nothing,
        log_lost=nothing,
        log_written=nothing,
        watched=nothing,
        journal=nothing,
        directory=directory,
        log_limit=Limit(0),
        capture=nothing,
        witness=nothing,
        measured=nothing,
    )


def test_a_log_that_still_grows_is_waited_for_beyond_all_patience(tmp_path: Path) -> None:
    one = follower(tmp_path)
    path = path_of(tmp_path, 7, 1)
    path.parent.mkdir(parents=True)
    answers: list[bool] = []
    asking = threading.Thread(target=lambda: answers.append(one.finished(PATIENCE)))

    def grow() -> bool:
        with path.open("ab") as file:
            file.write(b"x")
        return path.stat().st_size > 120

    asking.start()
    wait_until(grow, 60, "it grew for many times the patience")
    assert answers == [], "it is still waited for"
    one.log_over.set()
    asking.join(10)
    assert answers == [True]


def test_a_log_that_does_not_grow_any_more_is_given_up(tmp_path: Path) -> None:
    assert not follower(tmp_path).finished(PATIENCE)
