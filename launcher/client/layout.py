"""The layout part of the client: ``Client().layout``."""

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
    """Every method except ``wait`` is one request; changes need an admin."""

    def __init__(self, request: Callable[..., Any], timeout: float) -> None:
        self._request, self._timeout = request, timeout

    def _get(self, path: str) -> Any:
        return self._request("GET", path, timeout=self._timeout)

    def _post(self, path: str, body: Any = None) -> Any:
        return self._request("POST", path, body, timeout=self._timeout)

    def show(self) -> list[wire.GpuView]:
        """Return every GPU and its instances."""
        return decode_list(wire.GpuView, self._get("/v1/layout"))

    def profiles(self, gpu: str | None = None) -> list[wire.ProfileView]:
        """Return the profiles that one GPU offers, or all do."""
        selector = f"?{query([('gpu', gpu)])}" if gpu else ""
        return decode_list(wire.ProfileView, self._get(f"/v1/layout/profiles{selector}"))

    def plan(self, request: wire.LayoutRequest) -> wire.LayoutPlan:
        """Return what a change would do."""
        return decode(wire.LayoutPlan, self._post("/v1/layout/plan", dataclasses.asdict(request)))

    def change(self, request: wire.LayoutRequest) -> wire.LayoutChange:
        """Start a change; ``wait`` for its end."""
        reply = self._post("/v1/layout/changes", dataclasses.asdict(request))
        return decode(wire.LayoutChange, reply)

    def wait(self, change: int, timeout: float | None = None) -> wire.LayoutChange:
        """Return a change that has ended or is pending, or as it is after ``timeout`` seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            poll = (
                POLL_SECONDS if end is None else max(0.0, min(POLL_SECONDS, end - time.monotonic()))
            )
            reply = self._request("GET", wait_path(change, poll), timeout=poll + self._timeout)
            layout_change = decode(wire.LayoutChange, reply)
            if is_over(layout_change) or (end is not None and time.monotonic() >= end):
                return layout_change

    def cancel(self, change: int) -> wire.LayoutChange:
        """Cancel a change that still waits."""
        return decode(wire.LayoutChange, self._post(f"/v1/layout/changes/{change}/cancel"))

    def changes(self, most: int = 50) -> list[wire.LayoutChange]:
        """Return the last changes, newest first."""
        return decode_list(wire.LayoutChange, self._get(f"/v1/layout/changes?most={most}"))

    def current(self) -> list[wire.SavedGpu]:
        """Return the current layout, placement by placement."""
        return decode_list(wire.SavedGpu, self._get("/v1/layout/current"))

    def save(self, name: str | None = None, *, delete: bool = False) -> list[wire.SavedGpu]:
        """Save the layout, to be restored after a reboot or under a name; or delete a saved one."""
        body = dataclasses.asdict(wire.SaveRequest(name=name, delete=delete))
        return decode_list(wire.SavedGpu, self._post("/v1/layout/save", body))

    def saved(self) -> list[wire.SavedLayout]:
        """Return all saved layouts."""
        return decode_list(wire.SavedLayout, self._get("/v1/layout/saved/all"))

    def restore(self, request: wire.RestoreRequest) -> wire.LayoutChange:
        """Start to restore a saved layout."""
        body = dataclasses.asdict(request)
        return decode(wire.LayoutChange, self._post("/v1/layout/restore", body))

    def drain(self, ref: str, reason: str | None) -> list[wire.SliceView]:
        """Drain a slice or GPU, or undrain it (None); return the slices concerned."""
        reply = self._post(f"/v1/slices/{quote(ref)}/drain", {"reason": reason})
        return decode_list(wire.SliceView, reply)


def wait_path(change: int, seconds: float) -> str:
    """Return the path of a request that waits for a change for at most ``seconds``."""
    return f"/v1/layout/changes/{change}/wait?timeout={seconds:g}"


def is_over(change: wire.LayoutChange) -> bool:
    """Whether nothing more happens to a change now."""
    return change.result is not None or change.state == "pending"
