"""Jobs behind the stub daemon: lists and waits answer as the real daemon's do."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from urllib.parse import parse_qs

from launcher.wire import JobView
from tests.unit.client.stub_daemon import Asked, Json, Reply, StubDaemon, ended, job_view

LONGEST_WAIT = 30.0


class StubQueue:
    """Jobs by id, which end when a test says so."""

    def __init__(self, stub: StubDaemon) -> None:
        self.jobs: dict[int, JobView] = {}
        self._changed = threading.Condition()
        self.waiting = 0
        """How many requests wait now."""
        self.most_waiting = 0
        stub.otherwise = self._reply

    def add(self, ids: Iterable[int], array: int | None = None) -> None:
        """Queue jobs, or the elements of an array."""
        for index, job_id in enumerate(ids):
            place = None if array is None else {"id": array, "index": index, "matrix": None}
            self.jobs[job_id] = job_view(id=job_id, state="RUNNING", array=place)

    def end(self, job_id: int, outcome: str = "COMPLETED", exit_code: int | None = 0) -> None:
        with self._changed:
            array = self.jobs[job_id].array
            self.jobs[job_id] = ended(outcome, exit_code, id=job_id, array=array)
            self._changed.notify_all()

    def _reply(self, asked: Asked) -> Reply | None:
        query = parse_qs(asked.query)
        if asked.path == "/v1/jobs" and asked.method == "GET":
            return self._list(query)
        match = re.fullmatch(r"/v1/jobs/(\d+)(/wait)?", asked.path)
        if match is None:
            return None
        job_id = int(match[1])
        if job_id not in self.jobs:
            return Json({"kind": "no-such-job", "message": f"there is no job {job_id}"}, 404)
        if match[2]:
            self._wait(job_id, float(query["timeout"][0]))
            return Json(self.jobs[job_id])
        detail = {"job": self.jobs[job_id], "spec": None, "image_id": None, "blockers": [],
                  "position": None, "attempts": [], "events": []}  # fmt: skip
        return Json({**detail, "job": Json(self.jobs[job_id]).value.__dict__})

    def _list(self, query: dict[str, list[str]]) -> Reply:
        found = []
        for ref in query.get("ref", []):
            first, _, last = ref.partition("-")
            span = range(int(first), int(last or first) + 1)
            found += [v for v in self.jobs.values() if v.id in span]
            found += [v for v in self.jobs.values() if (v.array or {}).get("id") in span]
        if not found:
            return Json({"kind": "no-such-job", "message": "none of these jobs exists"}, 404)
        states = query.get("state", [""])[0].split(",")
        return Json([view for view in found if states == [""] or view.word in states])

    def _wait(self, job_id: int, seconds: float) -> None:
        with self._changed:
            self.waiting += 1
            self.most_waiting = max(self.waiting, self.most_waiting)
            self._changed.wait_for(
                lambda: self.jobs[job_id].outcome is not None, min(seconds, LONGEST_WAIT)
            )
            self.waiting -= 1
