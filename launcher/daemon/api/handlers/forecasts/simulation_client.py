"""Runs a replay in its own process: it may take a minute, too long for the daemon.

The child (``launcher.daemon.simulation_worker``) must have exactly this version, because its
request is pickled.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import pickle
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import launcher
from launcher.core.messages import events as ev
from launcher.core.model.layout_change import Want
from launcher.core.policy.settings import Settings
from launcher.daemon.loop import clock
from launcher.daemon.loop.threads import in_thread
from launcher.daemon.users.turns import ProcessorTurns, UsedTime
from launcher.errors import InternalError, LauncherError, from_wire

if TYPE_CHECKING:
    from launcher.daemon.api.handlers.context import Context


log = logging.getLogger(__name__)

ANSWERED, REFUSED, OTHER_VERSION = b"+", b"-", b"?"
"""The prefix of a reply of the child."""

ESTIMATE_WAIT_SECONDS, ESTIMATE_SECONDS = 10.0, 20.0
"""Limit for the estimate of jobs' starts: waiting for a turn, then replaying."""
WAIT_SECONDS = 180.0
"""The longest wait of a what-if for its turn."""
ORDINARY_SECONDS = 60.0
ADMIN_SECONDS = 240.0
"""The longest replay of a what-if, of an ordinary user and of an admin: others wait for it."""
_USED = UsedTime()
_ESTIMATES, _WHATIFS = ProcessorTurns(2, _USED), ProcessorTurns(2, _USED)
"""Separate turns: estimates do not wait for what-ifs, which take minutes."""
_SINCE = clock.now().wall


@dataclass(frozen=True, slots=True)
class Question:
    """The replay to run: a queue or a submit, over layouts, or until some jobs have started.

    ``history``: jobs take as long as earlier ones of their owner and name. ``seen_by`` is the uid
    whose own jobs' run times and names may be shown; None: those of all users. ``seconds`` limits a
    replay that ends when ``jobs`` have started; None: no limit.
    """

    state_dir: Path
    cpu_slots: int
    rules: Settings
    groups: dict[int, frozenset[str]]
    inventory: ev.InventoryRead | None
    now: ev.Now
    history: bool = False
    seen_by: int | None = None
    jobs: tuple[int, ...] = ()
    seconds: float | None = None
    submitted: ev.Submitted | None = None
    layouts: tuple[tuple[str, tuple[Want, ...]], ...] = ()


async def estimate(question: Question, uid: int) -> bytes:
    """Return the estimate of jobs' starts as JSON, by id; raises as ``whatif`` does."""
    return await _in_turn(question, uid, _ESTIMATES, ESTIMATE_WAIT_SECONDS, ESTIMATE_SECONDS)


async def whatif(question: Question, uid: int, *, admin: bool) -> bytes:
    """Return the reply of a separate process, as JSON.

    Raises its error, or an error if its turn did not come or it took too long.
    """
    seconds = ADMIN_SECONDS if admin else ORDINARY_SECONDS
    return await _in_turn(question, uid, _WHATIFS, WAIT_SECONDS, seconds)


async def _in_turn(
    question: Question, uid: int, turns: ProcessorTurns, wait_seconds: float, seconds: float
) -> bytes:
    async with contextlib.AsyncExitStack() as held:
        try:
            await held.enter_async_context(turns.turn(uid, wait_seconds))
        except TimeoutError:
            raise LauncherError(
                f"replays for other users took all of {wait_seconds:g} s",
                fix="Try again in a moment.",
            ) from None
        try:
            async with asyncio.timeout(seconds):
                return await _replay(question)
        except TimeoutError:
            raise LauncherError(
                f"the replay took more than {seconds:g} s and was stopped",
                fix="Request fewer layouts or jobs at once; an admin's what-if may take "
                f"{ADMIN_SECONDS:g} s.",
            ) from None


async def _replay(question: Question) -> bytes:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # import nothing from the daemon's working directory
        "-m",
        "launcher.daemon.simulation_worker",
        launcher.__version__,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd="/",
    )
    try:
        reply, wrong = await child.communicate(pickle.dumps(question))
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if reply.startswith(OTHER_VERSION):
        raise _other_version(f" ({reply.removeprefix(OTHER_VERSION).decode()})")
    if child.returncode != 0:
        log.error("a replay failed: %s", wrong.decode(errors="replace")[-2000:])
        folder = Path(launcher.__file__).parent
        if await in_thread("replay", partial(changed_since, folder, _SINCE)):
            raise _other_version()
        raise InternalError("the replay failed; see the daemon's log")
    if reply.startswith(REFUSED):
        raise from_wire(*json.loads(reply.removeprefix(REFUSED)))
    return reply.removeprefix(ANSWERED)


def _other_version(version: str = "") -> LauncherError:
    return LauncherError(
        f"the installed launcher{version} differs from the one that this daemon "
        f"({launcher.__version__}) was started from: it cannot replay",
        fix="Restart the daemon; jobs go on.",
    )


def changed_since(package: Path, since: float) -> bool:
    """Whether the installed program was changed or removed since then (seconds since 1970)."""
    try:
        files = list(package.rglob("*.py"))
        return not files or any(file.stat().st_ctime > since for file in files)
    except OSError:  # a file was just removed
        return True


def question_of(
    context: Context,
    *,
    jobs: tuple[int, ...] = (),
    seconds: float | None = None,
    history: bool = False,
    seen_by: int | None = None,
    submitted: ev.Submitted | None = None,
    layouts: tuple[tuple[str, tuple[Want, ...]], ...] = (),
) -> Question:
    """Return the question for a replay of this daemon's current queue."""
    world = context.world
    return Question(
        state_dir=context.config.state_dir,
        cpu_slots=world.cpu_slots,
        rules=world.rules,
        groups=world.groups,
        inventory=context.event_loop.inventory,
        now=clock.now(),
        history=history,
        seen_by=seen_by,
        jobs=jobs,
        seconds=seconds,
        submitted=submitted,
        layouts=layouts,
    )
