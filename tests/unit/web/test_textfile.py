"""The file for node_exporter: whole at any time, and gone with the service."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from launcher.web.textfile import keep_written, write
from tests.support.wait import wait_until


def test_a_file_is_replaced_as_a_whole_and_everybody_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "launcher.prom"
    for text in (b"a 1\n", b"b 2\n"):
        write(path, text)
        assert path.read_bytes() == text
        assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_it_is_written_until_the_service_ends_and_then_removed(tmp_path: Path) -> None:
    path = tmp_path / "launcher.prom"
    written = 0

    async def text() -> bytes:
        nonlocal written
        written += 1
        return f"written {written}\n".encode()

    async def body() -> None:
        keeping = asyncio.create_task(keep_written(path, text, 0.001))
        await asyncio.to_thread(wait_until, lambda: written >= 3)
        assert path.read_text().startswith("written ")
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    asyncio.run(body())
    assert not path.exists()


def test_a_directory_that_is_missing_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, tries = tmp_path / "none/launcher.prom", 0

    async def text() -> bytes:
        nonlocal tries
        tries += 1
        return b""

    async def body() -> None:
        keeping = asyncio.create_task(keep_written(path, text, 0.001))
        await asyncio.to_thread(wait_until, lambda: tries >= 4)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    with caplog.at_level(logging.WARNING):
        asyncio.run(body())
    assert caplog.text.count("No such file or directory") == 1
