"""Operations that wait for another program run beside the helper's loop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial

import pytest

from launcher.host.helper.operations import MOST, MOST_OF_USER, Operations
from launcher.host.helper.polling import Poll

Work = Callable[[], str]


class Loop:
    """Runs operations that wait for ``go``, and keeps what became of them."""

    def __init__(self, *, threaded: bool) -> None:
        self.poll = Poll()
        self.operations = Operations(self.poll, threaded=threaded)
        self.go = threading.Event()
        self.started: list[str] = []
        self.results: list[str] = []

    def hold(self, name: str, uid: int) -> None:
        self.operations.run(name, uid, partial(self._held, name), self._keep)

    def quick(self, name: str, uid: int) -> None:
        self.operations.run(name, uid, lambda: name, self._keep)

    def _held(self, name: str) -> str:
        self.started.append(name)
        assert self.go.wait(30)
        return name

    def _keep(self, future: Future[str]) -> None:
        error = future.exception()
        self.results.append(str(error) if error else future.result())

    def until_done(self) -> None:
        self.go.set()
        while self.operations:
            self.poll.once(10)


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop(threaded=True)
    yield made
    made.until_done()


def test_one_users_slow_operations_hold_nobody_elses(loop: Loop) -> None:
    for number in range(100):
        loop.hold(f"slow-{number}", 1)
    loop.quick("quick", 2)
    while "quick" not in loop.results:
        loop.poll.once(10)
    assert len(loop.started) <= MOST_OF_USER


def test_there_is_a_bound_and_users_take_turns(loop: Loop) -> None:
    users = MOST  # more than can run at once
    for number in range(4 * users):
        loop.hold(f"{number}", number % users)
    named = [each for each in threading.enumerate() if each.name.startswith("operation-")]
    assert len(named) == MOST
    loop.until_done()
    assert sorted(map(int, loop.results)) == list(range(4 * users))


def test_a_jobs_operations_and_requests_keep_their_order(loop: Loop) -> None:
    loop.hold("a", 1)
    assert loop.operations.is_busy("a")
    loop.operations.after("a", lambda: loop.results.append("first"))
    loop.operations.after("a", lambda: loop.hold("a", 1))
    loop.operations.after("a", lambda: loop.results.append("last"))
    loop.until_done()
    assert loop.results == ["a", "first", "a", "last"]
    assert not loop.operations.is_busy("a")


@pytest.mark.parametrize("threaded", [False, True])
def test_an_error_is_told_and_the_next_operation_runs(threaded: bool) -> None:
    loop = Loop(threaded=threaded)

    def fail() -> str:
        raise OSError("no room")

    loop.operations.run("a", 1, fail, loop._keep)
    loop.until_done()
    loop.quick("a", 1)
    loop.until_done()
    assert loop.results == ["no room", "a"]


def test_without_threads_it_is_done_at_once() -> None:
    loop = Loop(threaded=False)
    loop.quick("a", 1)
    assert loop.results == ["a"]
    assert not loop.operations
