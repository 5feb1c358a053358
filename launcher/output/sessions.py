"""The terminals of interactive jobs in the output keeper: consoles, watchers, and other commands.

A console is the one stream that carries a container's standard input. It is held here from before
the start of the container, so it survives the clients and the daemon. One client writes to it, and
others watch by streams of their own.
"""

from __future__ import annotations

import os
import selectors
import socket
import time
from collections import Counter
from typing import Any

from launcher.listening import most_of_user
from launcher.output.relay import Relay

MOST_RELAYS = 1024
"""The maximum number of relays of all users, beside consoles."""
MOST_OF_USER = 64
"""The maximum number of relays of one user; above it only consoles are added. It is less while all
users together have many (``most_of_user``)."""


class Sessions:
    """The relays of one keeper. Every method is one of its requests."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._consoles: dict[str, Relay] = {}
        self._relays: dict[Relay, str] = {}
        """All relays, with the path of the log of the attempt that each is for."""

    def __len__(self) -> int:
        return len(self._relays)

    def patience(self) -> float | None:
        """Return for how many seconds nothing has to be done here, None for any time."""
        held = [relay.held_until for relay in self._relays if relay.held_until]
        return max(0.0, min(held) - time.monotonic()) if held else None

    def release(self) -> None:
        """Let consoles go on that have waited for long enough for a first client."""
        now = time.monotonic()
        for relay in [relay for relay in self._relays if relay.held_until]:
            relay.release(now)

    def console(self, request: dict[str, Any], files: list[int]) -> dict[str, Any]:
        """Hold the stream of a container's standard input; it replaces an earlier one.

        It is never refused: that would end the container's input. There is one for each job.
        """
        path = str(request["path"])
        (stream,) = files
        if (before := self._consoles.get(path)) is not None:
            before.close()
        uid, waits = int(request["uid"]), bool(request.get("waits"))
        self._consoles[path] = self._relay(path, stream, uid, stays=True, waits=waits)
        return {}

    def join(self, request: dict[str, Any], files: list[int]) -> dict[str, Any]:
        """Attach a client to a console as the one who writes.

        ``state`` is "none" without a console, "busy" if somebody else writes: then nothing is
        done. With ``take`` the other one is parted from it.
        """
        relay = self._consoles.get(str(request["path"]))
        if relay is None:
            return {"state": "none"}
        relay.part_from_gone()
        if relay.has_client:
            if not request.get("take"):
                return {"state": "busy"}
            relay.leave()
        (client,) = files
        relay.join(_socket(client), str(request["head"]).encode(), sends=True)
        return {"state": "joined"}

    def relay(self, request: dict[str, Any], files: list[int]) -> dict[str, Any]:
        """Relay between a stream of Docker's and a client until one of them ends."""
        stream, client = files
        sends = bool(request["sends"])
        path = str(request["path"])
        framed = bool(request.get("framed"))
        uid = int(request["uid"])
        self._must_have_room(uid)
        relay = self._relay(path, stream, uid, lossy=not sends, framed=framed)
        relay.join(_socket(client), str(request["head"]).encode(), sends=sends)
        return {}

    def room(self, request: dict[str, Any]) -> dict[str, Any]:
        """Raise ``OSError`` if a user has no room for another relay."""
        self._must_have_room(int(request["uid"]))
        return {}

    def report(self) -> dict[str, Any]:
        """Return for each attempt with a console its clients, and the seconds without activity."""
        self._part_from_gone()
        clients = Counter(path for relay, path in self._relays.items() if relay.has_client)
        now = time.monotonic()
        active: dict[str, float] = {}
        for relay, path in self._relays.items():
            active[path] = max(active.get(path, 0.0), relay.active_at)
        return {
            "sessions": [
                [path, relay.has_client, clients[path], round(now - active[path], 1)]
                for path, relay in self._consoles.items()
            ]
        }

    def _relay(self, path: str, stream: int, uid: int, **how: bool) -> Relay:
        relay = Relay(self._selector, _socket(stream), uid, self._ended, **how)
        self._relays[relay] = path
        return relay

    def _must_have_room(self, uid: int) -> None:
        self._part_from_gone()
        of_user = sum(relay.uid == uid for relay in self._relays)
        free = MOST_RELAYS - (len(self._relays) - len(self._consoles))
        most = most_of_user(MOST_OF_USER, free)
        if of_user >= most:
            why = "" if most == MOST_OF_USER else " while other users have this many open"
            raise OSError(
                f"uid {uid} has {of_user} terminals open, no more than {most} are allowed{why}:"
                " leave some of them (ctrl-p ctrl-q), or try again later"
            )

    def _part_from_gone(self) -> None:
        for relay in list(self._relays):
            relay.part_from_gone()

    def _ended(self, relay: Relay) -> None:
        path = self._relays.pop(relay, None)
        if path is not None and self._consoles.get(path) is relay:
            del self._consoles[path]


def _socket(fd: int) -> socket.socket:
    return socket.socket(fileno=os.dup(fd))
