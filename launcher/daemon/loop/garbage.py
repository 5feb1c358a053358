"""Python's collector of cycles: what lives long is looked through once, never over and over.

With 100,000 jobs a full collection takes a quarter of a second, in one piece. Jobs are not garbage:
they go when nobody refers to them any more. So the collector forgets what there is
(``gc.freeze``) whenever much is new, and collects whenever little is.
"""

from __future__ import annotations

import asyncio
import gc

LOOK_SECONDS = 1.0
YOUNG = 1_000
"""So many new objects are looked through at once; a command of the client has them wait longer."""
FEW = 2
MANY = 5
"""So many middle collections, of about 10,000 new objects each, are few or many since the last."""
NEVER = 1_000_000_000


async def collect() -> None:
    """Collect new objects until cancelled; from now on Python collects only young garbage."""
    gc.set_threshold(YOUNG, 10, NEVER)
    gc.freeze()
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        step()


def step() -> None:
    """Look through what is new, if that is little; else only what is youngest.

    A cycle that is whole when much is new, and garbage later, stays: of requests under way a few.
    """
    new = gc.get_count()[2]
    if new > MANY:
        gc.collect(1)
        gc.freeze()
    if new > FEW:
        gc.collect()  # after a freeze it finds nothing to look through, and counts from 0 again
