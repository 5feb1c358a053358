"""A daemon that a test plays, before a web service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.client.conftest import short_dir
from tests.unit.client.stub_daemon import StubDaemon

__all__ = ["short_dir"]


@pytest.fixture
def daemon(short_dir: Path) -> Iterator[StubDaemon]:
    made = StubDaemon(short_dir / "d.sock")
    yield made
    made.stop()
