"""Sends an archive to Docker in chunks, and names what became of it: POST /images/load."""

from __future__ import annotations

import json
import queue
import re
import threading
from collections.abc import Iterator
from typing import Any

from launcher.engine.connection import DockerConnection
from launcher.engine.outcome import error_text
from launcher.errors import EngineError

_ID = re.compile(r"sha256:[0-9a-f]{64}")
_AHEAD = 16
"""Chunks that wait for Docker."""
_CHUNK = 1 << 18
SECONDS = 3600


class LoadFailed(EngineError):
    """Docker did not load the archive."""


class DockerLoad:
    """One load: ``send`` its bytes, then ``finish``. Docker gets nothing whole after ``abort``."""

    def __init__(self, connection: DockerConnection) -> None:
        self._connection = connection
        self._chunks: queue.Queue[bytes | None] = queue.Queue(_AHEAD)
        self._pending = bytearray()
        self._failed: BaseException | None = None
        self._aborted = False
        self._lines: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._post, daemon=True)
        self._thread.start()

    def send(self, data: bytes) -> None:
        """Pass bytes on; raises ``LoadFailed`` once Docker has refused."""
        self._pending += data
        if len(self._pending) >= _CHUNK:
            self._put(bytes(self._pending))
            self._pending.clear()

    def finish(self) -> str:
        """Return the id of the image; raises ``LoadFailed``."""
        if self._pending:
            self._put(bytes(self._pending))
        self._put(None)
        self._thread.join()
        if self._failed is not None:
            raise LoadFailed(f"Docker did not load the image: {self._failed}")
        ids = [match[0] for line in self._lines if (match := _ID.search(str(line.get("stream"))))]
        problems = [str(line["error"]) for line in self._lines if "error" in line]
        if problems or not ids:
            raise LoadFailed(f"Docker did not load the image: {(problems or ['no id'])[0]}")
        return ids[-1]

    def abort(self) -> None:
        """Break off: Docker gets an incomplete request and keeps nothing."""
        self._aborted = True
        self._put(None)

    def _put(self, chunk: bytes | None) -> None:
        while self._thread.is_alive():
            try:
                self._chunks.put(chunk, timeout=0.5)
                return
            except queue.Full:
                continue
        if chunk is not None:
            raise LoadFailed(f"Docker did not load the image: {self._failed or 'it hung up'}")

    def _body(self) -> Iterator[bytes]:
        while (chunk := self._chunks.get()) is not None:
            yield chunk
        if self._aborted:
            raise ConnectionAbortedError("the archive was refused")

    def _post(self) -> None:
        try:
            api = self._connection.api()
            response = api.post(
                self._connection.url(api, "/images/load"),
                params={"quiet": "1"},
                data=self._body(),
                headers={"Content-Type": "application/x-tar"},
                timeout=SECONDS,
            )
            if response.status_code != 200:
                raise LoadFailed(error_text(response.text))
            lines = (line for line in response.text.split("\n") if line.strip())
            self._lines = [json.loads(line) for line in lines]
        except BaseException as error:
            self._failed = error
