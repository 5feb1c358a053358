"""The first screen of ``launch top``: the frame, the line for the filter, and the keys."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, ClassVar, cast

from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input

from launcher import errors
from launcher.cli.live.frame import Drawing
from launcher.cli.live.queue_rows import QueueRow
from launcher.cli.live.screens import HELP, LogScreen, TextScreen
from launcher.cli.live.spans import Line
from launcher.wire import JobView

if TYPE_CHECKING:
    from launcher.cli.live.app import TopApp

PAGE = 10
FAR = 1_000_000


class FrameView(Widget):
    """Shows the lines of a frame; only those that differ are sent to the terminal."""

    DEFAULT_CSS = "FrameView { height: 1fr; width: 1fr; }"

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[Line] = []
        self._colours = not os.environ.get("NO_COLOR")

    def show(self, lines: list[Line]) -> None:
        """Show these lines."""
        before, self._lines = self._lines, lines
        most = max(len(before), len(lines))
        changed = [y for y in range(most) if before[y : y + 1] != lines[y : y + 1]]
        if changed:
            self.refresh(*(Region(0, y, self.size.width, 1) for y in changed))

    def render_line(self, y: int) -> Strip:
        """Return a line of the frame as Textual's own kind."""
        spans = self._lines[y] if y < len(self._lines) else []
        strip = Strip([Segment(span.text, self._style(span.style)) for span in spans])
        return strip.adjust_cell_length(self.size.width)

    def _style(self, name: str) -> Style:
        coloured = name in ("green", "red")
        return Style.null() if not name or (coloured and not self._colours) else Style.parse(name)


class TopScreen(Screen[None]):
    """The frame and its keys."""

    AUTO_FOCUS = ""  # not the filter's line: letters are keys
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "leave", show=False),
        Binding("up,k", "choose(-1)", show=False),
        Binding("down,j", "choose(1)", show=False),
        Binding("pageup", f"choose({-PAGE})", show=False),
        Binding("pagedown", f"choose({PAGE})", show=False),
        Binding("home,g", f"choose({-FAR})", show=False),
        Binding("end,G", f"choose({FAR})", show=False),
        Binding("l,enter", "log", show=False),
        Binding("c", "cancel", show=False),
        Binding("h", "hold", show=False),
        Binding("m", "mine", show=False),
        Binding("slash", "filter", show=False),
        Binding("escape", "clear", show=False),
        Binding("question_mark", "help", show=False),
    ]
    DEFAULT_CSS = """
    TopScreen Input { dock: bottom; height: 1; border: none; padding: 0; display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._view = FrameView()
        self._input = Input(placeholder="only jobs with this text", select_on_focus=False)
        self._rows: list[QueueRow] = []

    @property
    def top(self) -> TopApp:
        """The application."""
        return cast("TopApp", self.app)

    def compose(self) -> ComposeResult:
        """Put the filter's line over the last line of the frame."""
        yield self._view
        yield self._input

    def show(self, frame: Drawing) -> None:
        """Show a frame."""
        self._rows = frame.rows
        self._view.show(frame.lines)

    def action_leave(self) -> None:
        """Leave the program."""
        self.app.exit(0)

    def action_choose(self, by: int) -> None:
        """Choose the job so many rows below the chosen one."""
        if not self._rows:
            return
        refs = [row.ref for row in self._rows]
        chosen = self.top.look.chosen
        at = (refs.index(chosen) if chosen in refs else -1) + by
        self.top.change(chosen=refs[min(max(at, 0), len(refs) - 1)], notice="")

    def action_log(self) -> None:
        """Show the log of the chosen job."""
        row = self._chosen()
        if row is None:
            return
        if row.is_array:
            self._say(f"{row.ref} is an array: `launch logs {row.ref}[0]` prints one element's log")
            return
        self.app.push_screen(LogScreen(self.top.client, row.ref))

    def action_cancel(self) -> None:
        """Ask, then cancel the chosen job."""
        row = self._chosen()
        if row is None:
            return
        what = "array" if row.is_array else "job"
        name = row.cells[1] or "-"
        question = f"Cancel {what} {row.ref} ({name}, of {row.user})?\n\ny: yes   n: no"

        def answered(yes: bool | None) -> None:
            if yes:
                self._do(self.top.client.cancel, row, "cancelled")

        self.app.push_screen(TextScreen(question), answered)

    def action_hold(self) -> None:
        """Hold the chosen job, or release it if it is held."""
        row = self._chosen()
        if row is None:
            return
        if row.held:
            self._do(self.top.client.release, row, "released")
        elif row.state == "PENDING":
            self._do(self.top.client.hold, row, "held")
        else:
            self._say(f"{row.ref} does not wait: only waiting jobs can be held")

    def action_mine(self) -> None:
        """Show only the user's jobs, or all."""
        self.top.change(user=None if self.top.look.user else self.top.user, notice="")

    def action_filter(self) -> None:
        """Open the line for the filter."""
        self._input.value = self.top.look.text
        self._input.display = True
        self._input.focus()

    def action_clear(self) -> None:
        """Close the filter's line, or clear the filter and the notice."""
        if self._input.display:
            self._close_filter()
        else:
            self.top.change(text="", notice="")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while the user types."""
        if self._input.display:
            self.top.change(text=event.value)

    def on_input_submitted(self) -> None:
        """Keep the filter."""
        self._close_filter()

    def action_help(self) -> None:
        """Show the keys."""
        self.app.push_screen(TextScreen(HELP))

    def _close_filter(self) -> None:
        self._input.display = False
        self.set_focus(None)

    def _chosen(self) -> QueueRow | None:
        """Return the chosen row; without one it says what to do."""
        row = next((row for row in self._rows if row.ref == self.top.look.chosen), None)
        if row is None:
            self._say("choose a job first: arrows, or j and k")
        return row

    def _say(self, text: str) -> None:
        self.top.change(notice=text)

    def _do(
        self, request: Callable[[str], Awaitable[list[JobView]]], row: QueueRow, done: str
    ) -> None:
        async def work() -> None:
            try:
                changed = await request(row.ref)
            except errors.LauncherError as error:
                self._say(error.message)
            else:
                self._say(f"{row.ref}: {done}" if changed else f"{row.ref}: nothing to do")

        self._say(f"{row.ref}: …")
        self.run_worker(work(), exit_on_error=False)
