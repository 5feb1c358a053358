"""A start is sent once: what Docker says afterwards never leads to a second one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from launcher.core.messages.actions import StartAttempt
from launcher.core.messages.events import AttemptLost, StartFailed, StartFailure
from launcher.core.policy.policy import Person, PolicyInput
from launcher.core.policy.sandbox import NO_WISHES
from launcher.core.policy.settings import Policy
from launcher.daemon.attempts import starter as module
from launcher.daemon.attempts.container_plan import ContainerPlan
from launcher.daemon.attempts.start_errors import refused_start
from launcher.daemon.attempts.starter import Starter
from launcher.engine.outcome import Refusal, Refused, Unknown
from launcher.spec.job_spec import JobSpec
from tests.support.builders import ALICE, CPU

NAME = "launch-feed-7-1"


class LyingDocker:
    """Loses the answer to a start, and then denies that there is such a container."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.networks = SimpleNamespace(of_one_start=lambda: lambda: None)

    def create(self, name: str, body: object) -> str:
        return "c1"

    def start(self, name: str) -> None:
        self.started.append(name)
        raise Unknown("the answer was lost")

    def inspect(self, name: str) -> None:
        return None

    def incarnation(self) -> None:
        return None


def started(docker: Any, nothing: Any) -> Any:
    """The event of a start by a Docker; ``nothing`` is in the place of everything else."""
    starter = Starter(
        containers=docker,
        slice_check=nothing, store="feed", devices=nothing, journal=nothing, pins=nothing,
        pins_directory="/nowhere", secrets=nothing, places=nothing, directories=nothing,
        job_homes=nothing, capture=nothing, witness=nothing,
    )  # fmt: skip
    action = StartAttempt(7, 1, NAME, (), "sha256:1")
    asked = PolicyInput(JobSpec("job", "busybox", CPU), Person(ALICE), Policy(), None)
    return starter.run(action, asked, None)


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
        attach=lambda action, under, streams: None,
        wishes=lambda image_id: NO_WISHES,
        homes=SimpleNamespace(directory="/homes"),
    )
    event = started(docker, nothing)
    assert isinstance(event, AttemptLost), event
    assert docker.started == [NAME]


class Pruned:
    """A Docker whose network of jobs somebody removed: the first start fails, the next does not."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.networks = SimpleNamespace(
            of_one_start=lambda: lambda: "old", of_next_start=lambda: lambda: "new"
        )

    def remove(self, name: str) -> None:
        self.seen.append(f"remove {name}")


def test_a_start_for_which_the_network_was_missing_is_made_once_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    docker = Pruned()

    def ensure(self: Starter, action: StartAttempt, plan: ContainerPlan, wanted: object) -> None:
        docker.seen.append(f"start in {plan.job_network()}")
        raise refused_start(Refused(Refusal.MISSING, 404, "network launcher not found"), ())

    monkeypatch.setattr(Starter, "_ensure", ensure)
    nothing: Any = SimpleNamespace(clear=lambda name: docker.seen.append("clear"))
    event = started(docker, nothing)
    assert docker.seen == ["start in old", "clear", f"remove {NAME}", "start in new"]
    assert isinstance(event, StartFailed), "it may be tried again later, but did not run"
    assert event.failure is StartFailure.INFRA
