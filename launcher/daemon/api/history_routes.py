"""The routes for records: the audit log, pruning, and a copy of the database."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from launcher import wire
from launcher.config.history import LONGEST_SECONDS
from launcher.daemon.api.handlers import jobs
from launcher.daemon.api.handlers.context import Context
from launcher.daemon.api.query_params import number, page_size, text
from launcher.daemon.api.route import Access, get, post
from launcher.daemon.loop import audit_log, clock
from launcher.daemon.loop.threads import in_thread
from launcher.daemon.output.retention import MOST_SECONDS
from launcher.daemon.users.identity import Caller
from launcher.errors import UserError
from launcher.store import Reader
from launcher.store.directory import BACKUP_PREFIX
from launcher.wire import END, STDOUT, Frame

PIECE_BYTES = 1 << 18


async def prune(context: Context, caller: Caller, body: wire.PruneRequest) -> wire.PruneReply:
    """Delete old jobs or logs: those of the caller, or for an admin those of all users."""
    older_than = _age(context, body)
    before = clock.now().wall - older_than
    uid = None if caller.admin else caller.uid
    subject = "logs" if body.logs else "jobs"
    only = "only counted: " if body.dry_run else ""
    audit_log.about(detail=f"{only}{subject} older than {older_than:g} s")
    if body.logs:
        deleted = await context.retention.delete_logs(before, uid, dry_run=body.dry_run)
        return wire.PruneReply(0, deleted.files, deleted.bytes, older_than)
    pruned = await context.retention.prune(before, uid, dry_run=body.dry_run, seconds=MOST_SECONDS)
    return wire.PruneReply(pruned.jobs, 0, 0, older_than, pruned.more)


def _age(context: Context, body: wire.PruneRequest) -> float:
    """Return the maximum age in seconds; raises ``UserError`` if none is set."""
    history = context.config.history
    if body.older_than is not None:
        if not 0 <= body.older_than <= LONGEST_SECONDS:
            raise UserError(f"older_than is {body.older_than:g} s: it must be from 0 to 100 years")
        return body.older_than
    configured = history.keep_logs if body.logs else history.keep
    if configured is None:
        raise UserError(
            "no maximum age is set: [history] of launcher.toml says 'never'",
            fix="Set an age: --older-than 30d.",
        )
    return configured


async def backup(context: Context, caller: Caller) -> AsyncIterator[list[Frame]]:
    """Return a consistent copy of the database."""
    return _copied(context)


async def _copied(context: Context) -> AsyncIterator[list[Frame]]:
    """Yield a consistent copy of the database, then END."""
    path = context.config.state_dir / f"{BACKUP_PREFIX}{os.urandom(4).hex()}"
    try:
        now = clock.rfc3339(clock.now().wall)
        await context.committer.read_slowly(Reader.copy_to, path, now)
        file = await in_thread("backup", partial(_opened, path))
        try:
            while piece := await in_thread("backup", partial(file.read, PIECE_BYTES)):
                yield [Frame(STDOUT, 0, piece)]
        finally:
            await in_thread("backup", file.close)
    finally:
        await in_thread("backup", partial(path.unlink, missing_ok=True))
    yield [Frame(END, 0, b"")]


def _opened(path: Path) -> BinaryIO:
    return path.open("rb")


SINCE = number("since", "Not older than so many seconds.")
USER = text("user", "Only what this user requested.")
AUDIT, ADMIN = list[wire.AuditView], Access.ADMIN
AUDIT_PAGE = page_size(100, 100_000)

ROUTES = (
    get("/v1/audit", jobs.audit, AUDIT, AUDIT_PAGE, SINCE, USER, access=ADMIN, costly=True),
    post("/v1/prune", prune, wire.PruneRequest, wire.PruneReply, costly=True),
    post("/v1/backup", backup, None, None, access=ADMIN),  # a POST, so that it is in the audit
)
