"""The queue part of the client: its order, reasons, forecasts, reservations."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from launcher import wire
from launcher.client.base import job_path
from launcher.client.decode import decode, decode_list
from launcher.client.http import quote

REPLAY_SECONDS = 450.0
"""A replay of a long queue takes long."""


class Queue:
    """The waiting jobs, their order and reasons."""

    def __init__(self, request: Callable[..., Any], timeout: float) -> None:
        self._request = request
        self._timeout = timeout

    def order(self, most: int = 50) -> list[wire.QueueEntry]:
        """Return the first waiting jobs, in the order in which they will be served."""
        reply = self._request("GET", f"/v1/queue?most={most}", timeout=self._timeout)
        return decode_list(wire.QueueEntry, reply)

    def why(self, ref: int | str) -> wire.Why:
        """Return why a job waits, and when it may start."""
        path = f"{job_path(ref)}/why"
        return decode(wire.Why, self._request("GET", path, timeout=max(self._timeout, 60.0)))

    def starts(self) -> wire.QueueStarts:
        """Return when the first waiting jobs are likely to start; many callers share one replay."""
        reply = self._request("GET", "/v1/queue/starts", timeout=max(self._timeout, 60.0))
        return decode(wire.QueueStarts, reply)

    def advice(self, user: str | None = None) -> list[wire.AdviceView]:
        """Return which ended jobs requested more than they used: the caller's.

        For an admin those of all users, or of ``user`` (a name, or ``me``).
        """
        asked = "" if user is None else f"?user={quote(user)}"
        reply = self._request("GET", f"/v1/advice{asked}", timeout=max(self._timeout, 60.0))
        return decode_list(wire.AdviceView, reply)

    def whatif(
        self,
        jobs: Sequence[wire.JobSpec] | None = None,
        layouts: Sequence[wire.WhatIfLayout] = (),
        *,
        history: bool = False,
    ) -> list[wire.Forecast]:
        """Replay the current queue, or only these jobs, over layouts; the best one is marked."""
        request = wire.WhatIfRequest(
            jobs=None if jobs is None else [job.without_contents() for job in jobs],
            layouts=list(layouts),
            runtime="history" if history else "limit",
        )
        reply = self._request(
            "POST", "/v1/whatif", dataclasses.asdict(request), timeout=REPLAY_SECONDS
        )
        return decode_list(wire.Forecast, reply)

    def reservations(self) -> list[wire.ReservationView]:
        """Return the reservations that have not ended, by their start."""
        reply = self._request("GET", "/v1/reservations", timeout=self._timeout)
        return decode_list(wire.ReservationView, reply)

    def reserve(self, request: wire.ReserveRequest) -> wire.ReservationView:
        """Reserve slices for a user or a group."""
        body = dataclasses.asdict(request)
        reply = self._request("POST", "/v1/reservations", body, timeout=self._timeout)
        return decode(wire.ReservationView, reply)

    def unreserve(self, name: str) -> list[wire.ReservationView]:
        """Cancel a reservation; return the remaining ones."""
        path = f"/v1/reservations/{quote(name)}/cancel"
        return decode_list(wire.ReservationView, self._request("POST", path, timeout=self._timeout))
