"""``launch restore``: replaces the database of a stopped daemon by a backup."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from launcher.config.settings import load
from launcher.core.model.ids import LABEL_STORE
from launcher.core.recovery.restore import restore as hold_all
from launcher.daemon.loop import clock
from launcher.daemon.recovery.rebuild import started_attempts
from launcher.indices import few
from launcher.store.salvage.restore import Restoring


def restore(backup: Path, flags: Mapping[str, Any]) -> list[str]:
    """Restore a backup; return what was done, in sentences.

    ``flags`` as in ``launch serve``. Raises ``LauncherError`` if the daemon is running, or the file
    cannot be used; then nothing is changed.
    """
    config = load(flags)
    with Restoring(config.state_dir, backup, secrets.token_hex(4)) as work:
        world = work.store.load(config.cpu_slots, config.rules)
        made_at = work.made_at or "an unknown time"
        held = hold_all(world, clock.now(), made_at, started_attempts(config.state_dir))
        work.store.commit(world.take_changes())
        next_id, former = work.next_id(), work.former_id
        jobs = [*held.waiting, *held.started]
        lines = [f"restored the backup of {made_at}: {len(jobs)} unfinished jobs are held"]
        if jobs:
            lines.append(
                "`launch release JOB` runs one, `launch cancel JOB` ends it; "
                "`launch ps` lists them with the reason Restored"
            )
        if held.started:
            lines.append(
                f"these had started: {few(held.started)}. Their containers, if any, are left alone "
                "and their slices count as in use: "
                f"docker ps --filter label={LABEL_STORE}={former}"
            )
        lines.append(f"the next job is {next_id}")
        aside = work.finish("\n".join(lines) + "\n")
    if aside is not None:
        lines.append(f"the previous database is kept as {aside}")
    return lines
