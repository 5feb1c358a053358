"""The metrics as a file for node_exporter's textfile collector."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from launcher.web.bounds import TEXTFILE_SECONDS

log = logging.getLogger(__name__)


def write(path: Path, text: bytes) -> None:
    """Replace the file; readers see the earlier text or this one. Raises ``OSError``."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with part.open("wb") as stream:
            os.fchmod(stream.fileno(), 0o644)
            stream.write(text)
        part.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise


async def keep_written(
    path: Path, text: Callable[[], Awaitable[bytes]], seconds: float = TEXTFILE_SECONDS
) -> None:
    """Write the file until cancelled, then remove it: old figures look like current ones."""
    problem: str | None = None
    try:
        while True:
            before, problem = problem, None
            try:
                await _finished(asyncio.to_thread(write, path, await text()))
            except OSError as error:
                problem = error.strerror or str(error)
            if problem != before:
                log.warning("[web] textfile %s: %s", path, problem or "is written again")
            await asyncio.sleep(seconds)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)  # noqa: PTH108 - at the end, when threads may not run any more


async def _finished(writing: Awaitable[None]) -> None:
    """Wait for a write, also when cancelled: its thread would bring a removed file back."""
    task = asyncio.ensure_future(writing)
    try:
        await asyncio.shield(task)
    finally:
        if not task.done():
            await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # retrieved, also if nobody waits for it any more
