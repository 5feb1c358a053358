"""A kill waits for nothing: Docker answers no look at a container that is ending."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from launcher.core.action import KillAttempt
from launcher.daemon.runners import Runners
from launcher.engine.outcome import Unknown


class Ending:
    """A Docker that answers no look, and notes who gets which signal."""

    def __init__(self, running: bool | None) -> None:
        self.running, self.sent = running, list[tuple[str, str]]()

    def kill(self, name: str, signal: str) -> None:
        self.sent.append((name, signal))

    def find(self, name: str, container_id: str | None) -> Any:
        if self.running is None:
            raise Unknown("it does not answer")
        return SimpleNamespace(name=name, running=self.running)


def killed(docker: Ending, container_id: str | None) -> bool:
    made = object.__new__(Runners)
    made._containers = cast("Any", docker)
    return made._killed(KillAttempt(1, 1, "launch-x-1-1", container_id))


@pytest.mark.parametrize(("container_id", "named"), [("5e", "5e"), (None, "launch-x-1-1")])
def test_a_container_gets_its_kill_before_docker_is_asked_what_it_is(
    container_id: str | None, named: str
) -> None:
    docker = Ending(running=None)
    with pytest.raises(Unknown):
        killed(docker, container_id)
    assert docker.sent == [(named, "SIGKILL")]


@pytest.mark.parametrize("running", [True, False])
def test_a_kill_is_over_when_the_container_is_seen_not_running(running: bool) -> None:
    assert killed(Ending(running), "5e") is not running
