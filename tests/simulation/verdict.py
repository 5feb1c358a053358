"""What must be true once all is quiet: nothing lost, nothing twice, nothing made up.

Told by the database alone and by the fake Docker's own record; nothing of the daemon's is asked.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from launcher.daemon.attempts.exit_trust import GOING_SECONDS
from launcher.output.log_file import path_of
from launcher.output.reader import LogReader
from tests.drills.checker import check
from tests.simulation.docker import Box, FakeDocker
from tests.simulation.ledger import Ledger, job_of


def judge(state: Path, ledger: Ledger, docker: FakeDocker) -> None:
    """Write into the ledger what is wrong at the end."""
    starts = [(r.at, r.name, r.devices) for r in docker.record]
    for wrong in check(state / "launcher.db", starts, ledger.acknowledged):
        ledger.blame(wrong)
    db = sqlite3.connect(state / "launcher.db")
    db.row_factory = sqlite3.Row
    jobs = {row["id"]: row for row in db.execute("SELECT * FROM jobs")}
    attempts = {row["container_name"]: row for row in db.execute("SELECT * FROM attempts")}
    db.close()
    for box in (*docker.boxes.values(), *docker.gone.values()):
        attempt = attempts.get(box.name)
        if attempt is None:
            ledger.blame(f"{box.name} has no attempt on record")
        else:
            _compare(ledger, docker, box, jobs[job_of(box)], attempt)
            _log(ledger, state, box, attempt)


def _compare(ledger: Ledger, docker: FakeDocker, box: Box, job: Any, attempt: Any) -> None:
    """Compare what is recorded of an attempt with what its container really did."""
    where = f"{box.name} ({job['outcome']}, exit {attempt['exit_code']}, {attempt['cause']})"
    asked = bool(job["id"] in ledger.interrupted or job["preemptible"] or job["time_limit"])
    if box.stops and not asked:
        ledger.blame(f"a running job was disturbed: {where}")
    if box.life is None:
        if attempt["started_at"] is not None and box.name not in docker.removed_by_others:
            ledger.blame(f"it never ran: {where}")
        return
    if box.name in docker.removed_by_others:
        return
    if box.name in docker.lost_exits:
        last = job["attempt"] == attempt["number"]
        honest = ("LOST", "CANCELLED", "TIMEOUT") if last else (job["outcome"],)
        if last and job["outcome"] not in honest and not _told_truly(docker, box, attempt):
            ledger.blame(f"Docker lost how it ended: {where}")
        return
    if attempt["exit_code"] != box.life.exit and attempt["exit_code"] is not None:
        ledger.blame(f"it ended with {box.life.exit}: {where}")
    if job["attempt"] == attempt["number"]:
        right = {0: ("COMPLETED",)}.get(box.life.exit, ("FAILED", "OUT_OF_MEMORY"))
        honest = [*right, *(["CANCELLED", "TIMEOUT", "LOST"] if asked else [])]
        went = docker.incarnation > 1 or docker.timeline.boots > 1
        as_it_began = went and box.life.ends - box.life.started <= GOING_SECONDS
        if box.life.exit in (137, 143) and (as_it_began or not docker.live_restore):
            honest.append("LOST")  # dockerd may have ended it: nobody knows
        forgets = went or box.name in docker.missed
        if box.life.exit == 255 and forgets:
            honest.append("LOST")  # what dockerd says of those it does not know
        if job["outcome"] not in honest:
            ledger.blame(f"it ended with {box.life.exit}: {where}")


def _told_truly(docker: FakeDocker, box: Box, attempt: Any) -> bool:
    """Whether the end was on record before Docker lost it."""
    assert box.life is not None
    return attempt["exit_code"] == box.life.exit and not box.life.killed and box.told is None


def _log(ledger: Ledger, state: Path, box: Box, attempt: Any) -> None:
    """Every line that was written is in the log once, in order; it is marked complete."""
    if box.name in docker_removed(ledger) or box.life is None or not box.program.lines:
        return
    if box.unsaved:  # nobody reads what it writes
        return
    path = path_of(state / "logs", attempt["job"], attempt["number"])
    frames = [frame for frame in LogReader(path).read(1 << 20) if frame.stream == 1]
    written = [f.data for f in frames]
    ran = box.life.ends - box.life.started
    pause = box.program.seconds / box.program.lines
    expected = [b"line %d\n" % i for i in range(box.program.lines) if i * pause <= ran]
    if written != expected:
        ledger.blame(f"the log of {box.name} has {written}, written was {expected}")


def docker_removed(ledger: Ledger) -> set[str]:
    """Return the containers that somebody else removed, and their log with them."""
    return ledger.docker.removed_by_others
