"""Threads of the clock: a call has one to itself, and a thread that is free takes the next call."""

from __future__ import annotations

import threading
from queue import SimpleQueue

from launcher.daemon.loop.clock import MOST_SPARE_THREADS, SpareThreads
from tests.support.wait import wait_until


def spare(threads: SpareThreads) -> int:
    return len(threads._waiting)


def test_a_thread_whose_call_returned_takes_the_next_one_under_its_name() -> None:
    threads, ran = SpareThreads(), SimpleQueue[tuple[str, int | None]]()

    def call() -> None:
        thread = threading.current_thread()
        ran.put((thread.name, thread.ident))

    threads.run("first", call)
    first = ran.get(timeout=30)
    wait_until(lambda: spare(threads) == 1)
    threads.run("second", call)
    second = ran.get(timeout=30)
    assert (first[0], second[0]) == ("first", "second")
    assert first[1] == second[1]


def test_a_call_that_does_not_return_keeps_no_other_waiting() -> None:
    threads, stuck, ran = SpareThreads(), threading.Event(), threading.Event()
    threads.run("stuck", stuck.wait)
    threads.run("next", ran.set)
    assert ran.wait(30)
    stuck.set()
    wait_until(lambda: spare(threads) == 2)


def test_only_so_many_threads_stay() -> None:
    threads, go = SpareThreads(), threading.Event()
    before = threading.active_count()
    for number in range(3 * MOST_SPARE_THREADS):
        threads.run(f"call {number}", go.wait)
    go.set()
    wait_until(lambda: threading.active_count() <= before + MOST_SPARE_THREADS)
    assert spare(threads) <= MOST_SPARE_THREADS
