"""A start is sent once: what Docker says afterwards never leads to a second one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from launcher.core.messages.actions import StartAttempt
from launcher.core.messages.events import AttemptLost
from launcher.core.policy.policy import Person, PolicyInput
from launcher.core.policy.sandbox import NO_WISHES
from launcher.core.policy.settings import Policy
from launcher.daemon.attempts import starter as module
from launcher.daemon.attempts.starter import Starter
from launcher.engine.outcome import Unknown
from launcher.spec.job_spec import JobSpec
from tests.support.builders import ALICE, CPU

NAME = "launch-feed-7-1"


class LyingDocker:
    """Loses the answer to a start, and then denies that there is such a container."""

    def __init__(self) -> None:
        self.started: list[str] = []

    def create(self, name: str, body: object) -> str:
        return "c1"

    def start(self, name: str) -> None:
        self.started.append(name)
        raise Unknown("the answer was lost")

    def inspect(self, name: str) -> None:
        return None

    def incarnation(self) -> None:
        return None


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch) -> LyingDocker:
    monkeypatch.setattr(module, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(Starter, "_create", lambda self, action, plan: "c1")
    return LyingDocker()


def test_a_start_whose_answer_is_lost_is_not_sent_again_if_docker_denies_the_container(
    docker: LyingDocker,
) -> None:
    nothing: Any = SimpleNamespace(
        check=lambda slices: None,
        record_of=lambda name: None,
        set=lambda name, record: None,
        attach=lambda action, under: None,
        wishes=lambda image_id: NO_WISHES,
        homes=SimpleNamespace(directory="/homes"),
    )
    starter = Starter(
        containers=docker,  # type: ignore[arg-type]
        slice_check=nothing, store="feed", devices=nothing, journal=nothing, pins=nothing,
        pins_directory="/nowhere", secrets=nothing, places=nothing, directories=nothing,
        job_homes=nothing, capture=nothing, witness=nothing,
    )  # fmt: skip
    action = StartAttempt(7, 1, NAME, (), "sha256:1")
    asked = PolicyInput(JobSpec("job", "busybox", CPU), Person(ALICE), Policy(), None)
    event = starter.run(action, asked, None)
    assert isinstance(event, AttemptLost), event
    assert docker.started == [NAME]
