"""The fixtures of tests of `launch web`: its user, and the service beside a daemon."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.daemon import DaemonProcess
from tests.support.user import OrdinaryUser
from tests.support.web import WebProcess

USER = "nobody"


@pytest.fixture
def user() -> Iterator[OrdinaryUser]:
    made = OrdinaryUser(USER)
    yield made
    made.close()


@pytest.fixture
def web(daemon: DaemonProcess, user: OrdinaryUser) -> Iterator[WebProcess]:
    made = WebProcess(daemon, user)
    yield made
    made.close()
