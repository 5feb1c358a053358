"""The layout, as the client asks for it: ``Client().layout``."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

from launcher import wire
from launcher.client.decode import decode, decode_list
from launcher.client.http import query, quote

POLL_SECONDS = 20.0


class Layout:
    """Every method is one request, but ``wait``; changes need an admin."""

    def __init__(self, request: Callable[..., Any], timeout: float) -> None:
        self._request, self._timeout = request, timeout

    def _get(self, path: str) -> Any:
        return self._request("GET", path, timeout=self._timeout)

    def _post(self, path: str, body: Any = None) -> Any:
        return self._request("POST", path, body, timeout=self._timeout)

    def show(self) -> list[wire.GpuView]:
        """Return every GPU and what stands on it."""
        return decode_list(wire.GpuView, self._get("/v1/layout"))

    def profiles(self, gpu: str | None = None) -> list[wire.ProfileView]:
        """Return what one GPU offers, or all do."""
        asked = f"?{query([('gpu', gpu)])}" if gpu else ""
        return decode_list(wire.ProfileView, self._get(f"/v1/layout/profiles{asked}"))

    def plan(self, asked: wire.LayoutRequest) -> wire.LayoutPlan:
        """Return what a change would do."""
        return decode(wire.LayoutPlan, self._post("/v1/layout/plan", dataclasses.asdict(asked)))

    def change(self, asked: wire.LayoutRequest) -> wire.LayoutChange:
        """Begin a change; ``wait`` for its end."""
        reply = self._post("/v1/layout/changes", dataclasses.asdict(asked))
        return decode(wire.LayoutChange, reply)

    def wait(self, change: int, timeout: float | None = None) -> wire.LayoutChange:
        """Return a change when it is over, or as it is after ``timeout`` seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            poll = (
                POLL_SECONDS if end is None else max(0.0, min(POLL_SECONDS, end - time.monotonic()))
            )
            path = f"/v1/layout/changes/{change}/wait?timeout={poll:g}"
            layout_change = decode(
                wire.LayoutChange, self._request("GET", path, timeout=poll + self._timeout)
            )
            if layout_change.result is not None or (end is not None and time.monotonic() >= end):
                return layout_change

    def cancel(self, change: int) -> wire.LayoutChange:
        """Give up a change that still waits."""
        return decode(wire.LayoutChange, self._post(f"/v1/layout/changes/{change}/cancel"))

    def changes(self, most: int = 50) -> list[wire.LayoutChange]:
        """Return the last changes, newest first."""
        return decode_list(wire.LayoutChange, self._get(f"/v1/layout/changes?most={most}"))

    def current(self) -> list[wire.SavedGpu]:
        """Return the layout that stands, place by place."""
        return decode_list(wire.SavedGpu, self._get("/v1/layout/current"))

    def save(self) -> list[wire.SavedGpu]:
        """Have the layout that stands restored after a reboot."""
        return decode_list(wire.SavedGpu, self._post("/v1/layout/save"))

    def restore(self) -> wire.LayoutChange:
        """Begin to bring the saved layout back."""
        return decode(wire.LayoutChange, self._post("/v1/layout/restore"))

    def drain(self, ref: str, reason: str | None) -> list[wire.SliceView]:
        """Drain a slice or GPU, or (None) let it be used again; returns the slices concerned."""
        reply = self._post(f"/v1/slices/{quote(ref)}/drain", {"reason": reason})
        return decode_list(wire.SliceView, reply)
