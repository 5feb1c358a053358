from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.client.stub_daemon import StubDaemon


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A directory for sockets: their paths have at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="l-") as name:
        yield Path(name)


@pytest.fixture
def stub(short_dir: Path) -> Iterator[StubDaemon]:
    daemon = StubDaemon(short_dir / "stub.sock")
    yield daemon
    daemon.stop()
