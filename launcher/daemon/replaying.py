"""Asking for a replay, in a process of its own: it may take a minute, and the daemon has none.

The child (``launcher.daemon.forecast``) is of this very version: what it is asked is pickled.
"""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.core import event as ev
from launcher.core.plan import Want
from launcher.core.rules import Rules
from launcher.daemon import clock
from launcher.errors import InternalError, LauncherError, from_wire

if TYPE_CHECKING:
    from launcher.daemon.context import Context


log = logging.getLogger(__name__)

ANSWERED, REFUSED = b"+", b"-"
"""What an answer of the child begins with."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be played: a queue or a submit, over layouts, or until one job starts.

    ``history``: jobs take as long as earlier ones of their owner and name did. ``seen_by`` is the
    uid that may learn run times and names of its own jobs only; None: of all.
    """

    state_dir: Path
    cpu_slots: int
    rules: Rules
    groups: dict[int, frozenset[str]]
    inventory: ev.InventoryRead | None
    now: ev.Now
    history: bool = False
    seen_by: int | None = None
    job: int | None = None
    submitted: ev.Submitted | None = None
    layouts: tuple[tuple[str, tuple[Want, ...]], ...] = ()


async def ask(question: Question, seconds: float, turn: asyncio.Semaphore) -> bytes:
    """Return the answer of a process of its own, as JSON; raises what it raised, or that it took
    too long.

    ``seconds`` is the longest that is waited, also for a ``turn``: jobs need the cores.
    """
    try:
        async with asyncio.timeout(seconds), turn:
            return await _ask(question)
    except TimeoutError:
        raise LauncherError(f"the replay took more than {seconds:g} s and was given up") from None


async def _ask(question: Question) -> bytes:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # never a module from where the daemon happens to stand
        "-m",
        "launcher.daemon.forecast",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd="/",
    )
    try:
        told, wrong = await child.communicate(pickle.dumps(question))
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode != 0:
        log.error("a replay failed: %s", wrong.decode(errors="replace")[-2000:])
        raise InternalError("the replay failed; the daemon's log has the details")
    if told.startswith(REFUSED):
        raise from_wire(*json.loads(told.removeprefix(REFUSED)))
    return told.removeprefix(ANSWERED)


def question_of(
    context: Context,
    *,
    job: int | None = None,
    history: bool = False,
    seen_by: int | None = None,
    submitted: ev.Submitted | None = None,
    layouts: tuple[tuple[str, tuple[Want, ...]], ...] = (),
) -> Question:
    """Return what is asked of a replay of this daemon's queue, as it is now."""
    world = context.world
    return Question(
        state_dir=context.config.state_dir,
        cpu_slots=world.cpu_slots,
        rules=world.rules,
        groups=world.groups,
        inventory=context.brain.inventory,
        now=clock.now(),
        history=history,
        seen_by=seen_by,
        job=job,
        submitted=submitted,
        layouts=layouts,
    )
