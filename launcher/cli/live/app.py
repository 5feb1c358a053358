"""``launch top`` on a terminal: draws frames, follows the machine, and takes keys."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, ClassVar

from textual import events
from textual.app import App
from textual.binding import Binding, BindingType

from launcher.cli.live import feed
from launcher.cli.live.frame import Drawing, Look, draw
from launcher.cli.live.top_screen import TopScreen
from launcher.cli.output.exit_codes import EXIT_CANCELLED
from launcher.client.aio.client import AsyncClient
from launcher.client.snapshot import Snapshot

EXIT_TERMINATED = 128 + signal.SIGTERM


class TopApp(App[int]):
    """The live view. Its result is the exit status."""

    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c,ctrl+q", "interrupt", show=False, priority=True)
    ]

    def __init__(
        self, client: AsyncClient, first: Snapshot, user: str, *, ascii_only: bool = False
    ) -> None:
        """``first`` is drawn until there is a newer one; ``user`` is who ``m`` chooses."""
        super().__init__(ansi_color=True)
        self.client, self.snapshot, self.user = client, first, user
        self.look = Look(80, 24, ascii_only=ascii_only)
        self.failure: Exception | None = None
        self._top = TopScreen()

    def get_default_screen(self) -> TopScreen:
        """Return the first screen."""
        return self._top

    def on_mount(self) -> None:
        """Draw, and follow the machine from here on."""
        loop = asyncio.get_running_loop()
        for number, status in ((signal.SIGTERM, EXIT_TERMINATED), (signal.SIGINT, EXIT_CANCELLED)):
            loop.add_signal_handler(number, self.exit, status)
        self.redraw()
        self.set_interval(1.0, self.redraw)
        self._run(feed.follow(self.client, self._show, self._say_trouble))
        self._run(feed.estimate(self.client, lambda: self.snapshot, self._show_starts))

    def action_interrupt(self) -> None:
        """Leave as a command that Ctrl-C ended."""
        self.exit(EXIT_CANCELLED)

    def on_resize(self, event: events.Resize) -> None:
        """Draw for the new size."""
        self.change(width=event.size.width, height=event.size.height)

    def change(self, **changes: Any) -> None:
        """Change the look and draw; the names are those of ``Look``."""
        self.look = dataclasses.replace(self.look, **changes)
        self.redraw()

    def redraw(self) -> None:
        """Draw the present snapshot at the present time."""
        self._top.show(self.frame())

    def frame(self) -> Drawing:
        """Return the present frame."""
        return draw(self.snapshot, self.look, datetime.now(UTC))

    def _show(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.change(trouble="")

    def _say_trouble(self, text: str) -> None:
        self.change(trouble=text)

    def _show_starts(self, starts: dict[int, float]) -> None:
        self.change(starts=starts)

    def _fatal_error(self) -> None:
        """Leave without Textual's traceback: its values may have control characters."""
        self.failure = self.failure or self._exception
        self._close_messages_no_wait()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self.run_worker(self._reported(work), exit_on_error=False)

    async def _reported(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it; leave with its error, which is then printed below the restored screen."""
        try:
            await work
        except Exception as error:
            self.failure = error
            self.exit(1)


def run_top(client: AsyncClient, first: Snapshot, user: str, *, ascii_only: bool) -> int:
    """Take over the terminal until the user leaves; return the exit status."""
    # The size is the terminal's, whatever a shell has exported: that would not follow a change.
    for name in ("TEXTUAL", "COLUMNS", "LINES"):
        os.environ.pop(name, None)
    app = TopApp(client, first, user, ascii_only=ascii_only)
    status = app.run(mouse=False)
    if app.failure is not None:
        raise app.failure
    return status or app.return_code or 0
