"""What doctor says of users' mounts."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import pytest

from launcher.daemon.doctor import mounts
from launcher.mount_helper import Pins


def nobody() -> socket.socket:
    raise FileNotFoundError("no helper")


def answers(trouble: str | None) -> Any:
    return SimpleNamespace(ping=lambda: SimpleNamespace(trouble=trouble))


def test_a_daemon_of_ones_own_needs_no_helper() -> None:
    (found,) = mounts.check(Pins(nobody), needed=False)
    assert (found.state, "mounted directly" in found.message) == ("ok", True)


def test_a_helper_that_can_mount_is_well() -> None:
    (found,) = mounts.check(answers(None), needed=True)
    assert found.state == "ok"


@pytest.mark.parametrize("pins", [Pins(nobody), answers("open_tree(2) is not permitted")])
def test_a_helper_that_is_away_or_may_not_mount_is_a_warning(pins: Any) -> None:
    (found,) = mounts.check(pins, needed=True)
    assert found.state == "warning"
    assert "users cannot mount anything: " in found.message
