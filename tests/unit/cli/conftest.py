from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cli.launch_command import Launch
from tests.unit.client.stub_daemon import StubDaemon


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StubDaemon]:
    """A daemon that answers as told, and that the command finds."""
    daemon = StubDaemon(tmp_path / "stub.sock")
    monkeypatch.setenv("LAUNCHER_SOCKET", daemon.path)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "no-docker-config"))
    yield daemon
    daemon.stop()


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    return Launch(tmp_path)
