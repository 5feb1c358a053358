from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.client.stub_daemon import StubDaemon


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[StubDaemon]:
    daemon = StubDaemon(tmp_path / "stub.sock")
    yield daemon
    daemon.stop()
