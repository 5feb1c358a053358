"""The history of a job is told in words."""

from __future__ import annotations

from launcher.cli.verbs.jobs.show import HISTORY
from launcher.core.world.lifecycle import TRANSITIONS


def test_every_event_that_moves_a_job_has_words() -> None:
    assert {event.__name__ for _, event in TRANSITIONS} <= HISTORY.keys()
    assert not [words for words in HISTORY.values() if words != words.strip() or "Asked" in words]
