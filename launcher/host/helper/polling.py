"""The helper's event loop: one epoll(7) with a callback for each file descriptor."""

from __future__ import annotations

import select
from collections.abc import Callable

Call = Callable[[int], None]
"""Called with the events of a file descriptor."""


class Poll:
    """Calls the callbacks of ready file descriptors."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._calls: dict[int, Call] = {}

    def add(self, fd: int, call: Call, events: int = select.EPOLLIN) -> None:
        """Call ``call`` on these events of a file descriptor."""
        self._calls[fd] = call
        self._epoll.register(fd, events)

    def only_hangup(self, fd: int) -> None:
        """Wait only for EPOLLHUP of a file descriptor."""
        self._epoll.modify(fd, 0)

    def remove(self, fd: int) -> None:
        """Stop waiting for a file descriptor; one that was never added is ignored."""
        if self._calls.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def once(self, seconds: float) -> None:
        """Wait for events, for at most this time, and call their callbacks."""
        for fd, events in self._epoll.poll(seconds):
            call = self._calls.get(fd)
            if call is not None:
                call(events)
