"""What touches Docker has the mark `engine`: it is run on other engines too. Jobs are let go on."""

from __future__ import annotations

import pytest

from launcher.engine.containers import Containers
from launcher.fakegpu.sandbox import Sandbox

FIXTURES = frozenset({"sandbox", "docker_here"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what has a sandbox as a fixture, or is in a module that makes one."""
    for item in items:
        fixtures = FIXTURES.intersection(getattr(item, "fixturenames", ()))
        if fixtures or Sandbox in vars(getattr(item, "module", None) or object).values():
            item.add_marker("engine")


def let_go(docker: Containers, container: str) -> None:
    """Let a container go on whose command waits for /tmp/go."""
    with docker._connection.borrow() as api:
        asked = api.exec_create(container, ["touch", "/tmp/go"])
        api.exec_start(asked["Id"])
