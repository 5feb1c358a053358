"""Reads the world back: live jobs, what they hold, and the records of the machine."""

from __future__ import annotations

import json
import sqlite3

from launcher.core.model.gpu import Slice
from launcher.core.model.own_image import OwnImage, PulledImage
from launcher.core.model.packing import Place
from launcher.core.model.slice_state import SliceState
from launcher.core.model.use import RecordedCapacity, weight
from launcher.core.policy.settings import Settings
from launcher.core.world.world import World
from launcher.store.rows import layout_rows, rows
from launcher.store.rows.job_rows import JobReader
from launcher.store.sql import queries

_Q = queries()
CLOCK = "clock"
"""The key of the difference between the wall clock and CLOCK_BOOTTIME."""
STOPPED = "stopped_at"
"""The key of the time of the last stop (seconds since 1970)."""
LIVE = "LIVE"
"""The key under which the table ``tallies`` counts the jobs that have not ended."""


def load(db: sqlite3.Connection, store: str, cpu_slots: int, rules: Settings) -> World:
    """Return a new world of everything in the database that has not ended."""
    next_id: int = db.execute(_Q["next_id"]).fetchone()[0]
    world = World(store, next_id, cpu_slots, rules)
    clock = db.execute(_Q["get_meta"], (CLOCK,)).fetchone()
    world.clock = float(clock[0]) if clock else None
    world.capacity = _capacity(db)
    _queue(db, world)
    reading = JobReader()
    for row in db.execute(_Q["live_jobs"]):
        world.add(reading.job(row))
    _must_be_all(db, len(world.jobs))
    for row in db.execute(_Q["live_attempts"]):
        attempt = rows.attempt_from(row)
        world.attempts[attempt.job] = attempt
    for row in db.execute(_Q["live_leases"]):
        lease = rows.lease_from(row)
        world.slices[lease.slice.uuid] = SliceState(lease.slice, lease, lost=True)
        world.leases.setdefault(lease.job, []).append(lease)
    _machine(db, world)
    return world


def _capacity(db: sqlite3.Connection) -> RecordedCapacity:
    """Return the slices on record, and the last time of any record."""
    row = db.execute(_Q["last_capacity"]).fetchone()
    slices = (
        {name: (n, mib) for name, (n, mib) in json.loads(row["slices"]).items()} if row else None
    )
    return RecordedCapacity(slices, db.execute(_Q["last_seen"], (STOPPED,)).fetchone()[0])


def _must_be_all(db: sqlite3.Connection, count: int) -> None:
    """Raise ``ValueError`` if the number of live jobs found differs from the number on record.

    A damaged index hides rows without an error.
    """
    recorded = {row["word"]: row["jobs"] for row in db.execute(_Q["tallies"])}.get(LIVE, 0)
    if recorded != count:
        raise ValueError(f"{count} unfinished jobs were found, {recorded} are on record")


def _queue(db: sqlite3.Connection, world: World) -> None:
    """Read the data around the jobs: arrays, use, reservations."""
    for row in db.execute(_Q["live_arrays"]).fetchall():
        ended = db.execute(_Q["array_ends"], (row["id"],)).fetchall()
        world.arrays[row["id"]] = rows.array_from(row, {r["outcome"]: r["n"] for r in ended})
    for row in db.execute(_Q["uses"]):
        use = world.uses[row["uid"]] = rows.use_from(row)
        world.weights[row["uid"]] = weight(use, world.rules.fair_share.half_life)
    for row in db.execute(_Q["reservations"]):
        world.reservations[row["name"]] = rows.reservation_from(row)


def _machine(db: sqlite3.Connection, world: World) -> None:
    """Read the records of the machine, but not those of jobs."""
    for uuid, why, lasting, since in db.execute(_Q["quarantines"]):
        unknown = Slice(uuid, "", 0, "", None, 0)
        state = world.slices.setdefault(uuid, SliceState(unknown, lost=True))
        state.quarantine, state.lasting, state.quarantined_at = why, bool(lasting), since
    for image_id, uid in db.execute(_Q["private_images"]):
        owners = world.private_images.get(image_id, frozenset())
        world.private_images[image_id] = owners | {uid}
    world.public_images.update(row[0] for row in db.execute(_Q["public_images"]))
    for row in db.execute(_Q["own_images"]):
        world.own_images[row["uid"], row["name"]] = OwnImage(
            row["uid"], row["user"], row["name"], row["image_id"], row["bytes"], row["loaded_at"]
        )
    for row in db.execute(_Q["pulled_images"]):
        world.pulled_images[row["image_id"]] = PulledImage(*row)
    world.pulls.update((row[0], row[1]) for row in db.execute(_Q["pulls"]))
    for row in db.execute(_Q["drains"]):
        world.drains[row["uuid"]] = rows.drain_from(row)
    for row in db.execute(_Q["made"]):
        world.made[(row["gpu_uuid"], row["gi"])] = Place(row["profile_id"], row["start"])
    world.next_layout = db.execute(_Q["next_layout"]).fetchone()[0]
    for row in db.execute(_Q["open_layouts"]):
        op = layout_rows.from_row(row)
        world.layouts[op.id] = op
        for uuid in op.changing:
            unknown = Slice(uuid, "", 0, "", None, 0)
            world.slices.setdefault(uuid, SliceState(unknown, lost=True)).changing = op.id
