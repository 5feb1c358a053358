"""A store in a directory of its own, and one on a disk that is really full."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.store import Reader, Store
from tests.support.small_disk import SmallDisk


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store.open(tmp_path / "state")
    yield made
    made.close()


@pytest.fixture
def reader(store: Store) -> Iterator[Reader]:
    made = Reader(store.directory)
    yield made
    made.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with SmallDisk(tmp_path / "disk") as mounted:
        yield mounted
