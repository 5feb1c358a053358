from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cli.launch_command import Launch
from tests.unit.client.stub_daemon import StubDaemon


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A directory for sockets: their paths have at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="l-") as name:
        yield Path(name)


@pytest.fixture
def stub(short_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StubDaemon]:
    """A daemon that answers as told, and that the command finds."""
    daemon = StubDaemon(short_dir / "stub.sock")
    monkeypatch.setenv("LAUNCHER_SOCKET", daemon.path)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "no-docker-config"))
    yield daemon
    daemon.stop()


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    return Launch(tmp_path)
