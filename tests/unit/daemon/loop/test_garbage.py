"""What lives long is looked through once by the collector; garbage goes all the same.

Each test is a process of its own: what others have frozen in this one would be collected here.
"""

from __future__ import annotations

import subprocess
import sys

BEGIN = """
import gc, weakref
from launcher.daemon.loop import garbage

class Thing:
    def __init__(self):
        self.me = self

gc.set_threshold(garbage.YOUNG, 10, garbage.NEVER)
"""
LITTLE = """
gone = weakref.ref(Thing())
kept = [[number] for number in range((garbage.FEW + 2) * 11 * garbage.YOUNG)]
garbage.step()
assert gone() is None
assert kept
"""
MUCH = """
before = gc.get_freeze_count()
kept = [[number] for number in range((garbage.MANY + 4) * 11 * garbage.YOUNG)]
garbage.step()
assert gc.get_freeze_count() - before >= len(kept)
assert len(gc.get_objects()) < 1000
"""


def run(script: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_little_garbage_is_collected() -> None:
    run(LITTLE)


def test_a_hundred_thousand_new_jobs_are_looked_through_by_no_later_collection() -> None:
    run(MUCH)
