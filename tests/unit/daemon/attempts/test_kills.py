"""A kill waits for nothing: Docker answers no look at a container that is ending."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from launcher.core.messages.actions import KillAttempt
from launcher.daemon.attempts.action_runners import ActionRunners
from launcher.daemon.attempts.exit_witness import ExitWitness
from launcher.engine.outcome import Unknown

NAME = "launch-x-1-1"


class Ending:
    """A Docker that answers no look, and notes who gets which signal."""

    def __init__(self, running: bool | None, name: str = NAME) -> None:
        self.running, self.name, self.sent = running, name, list[tuple[str, str]]()

    def kill(self, name: str, signal: str) -> None:
        self.sent.append((name, signal))

    def find(self, name: str, container_id: str | None) -> Any:
        if self.running is None:
            raise Unknown("it does not answer")
        return SimpleNamespace(name=self.name, running=self.running)


def killed(docker: Ending) -> bool:
    made = object.__new__(ActionRunners)
    made._containers = cast("Any", docker)
    made.starter = cast("Any", SimpleNamespace(witness=ExitWitness(blind=True)))
    return made._killed(KillAttempt(1, 1, NAME, "5e"))


def test_a_container_gets_its_kill_before_docker_is_asked_what_it_is() -> None:
    docker = Ending(running=None)
    with pytest.raises(Unknown):
        killed(docker)
    assert docker.sent == [(NAME, "SIGKILL")]


@pytest.mark.parametrize("running", [True, False])
def test_a_kill_is_over_when_the_container_is_seen_not_running(running: bool) -> None:
    assert killed(Ending(running)) is not running


def test_a_container_that_was_renamed_is_killed_too() -> None:
    docker = Ending(running=True, name="renamed")
    assert not killed(docker)
    assert docker.sent == [(NAME, "SIGKILL"), ("renamed", "SIGKILL")]
