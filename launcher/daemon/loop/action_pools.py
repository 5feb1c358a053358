"""The threads in which actions run: one pool for each kind of work."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from launcher.core.jobs.images import MOST_PULLS
from launcher.daemon.users.fair_pool import FairPool


class Pools:
    """One pool for each kind of work; none waits behind another. Calls are charged to their users.

    A start may hang in one GPU's driver, an idle check takes a minute, and a pull takes as long as
    the registry does.
    """

    def __init__(self) -> None:
        self.starts = ThreadPoolExecutor(256, thread_name_prefix="start")
        self.proofs = ThreadPoolExecutor(256, thread_name_prefix="proof")
        self.removals = ThreadPoolExecutor(64, thread_name_prefix="removal")
        self.looks = FairPool("image", threads=64, share=4)
        self.pulls = FairPool("pull", threads=MOST_PULLS, share=MOST_PULLS)
        self.signals = FairPool("signal", threads=256, share=8)
        self.ends = FairPool("end", threads=256, share=32)
        """Stops and kills: the signals that users send to their jobs must not delay these."""
        self.requests = FairPool("request", threads=256, share=8)

    @property
    def _shared(self) -> tuple[FairPool, ...]:
        return (self.looks, self.pulls, self.signals, self.ends, self.requests)

    def exhausted(self) -> Iterator[str]:
        """Yield the names of the shared pools that have had no free thread for a while.

        The pool of pulls is excluded: all of its threads may be pulling.
        """
        yield from (pool.name for pool in self._shared if pool is not self.pulls and pool.stuck)

    def close(self) -> None:
        """Start nothing more; running calls end on their own."""
        for pool in (self.starts, self.proofs, self.removals):
            pool.shutdown(wait=False, cancel_futures=True)
        for shared in self._shared:
            shared.close()
