"""The screens of ``launch top`` beside the first one: a job's log, a question, the keys.

No text is markup here: what the daemon or a job says is shown as it is, after ``safe``.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen, Screen
from textual.widgets import Log, Static

from launcher import errors
from launcher.cli.live.log_lines import LogLines
from launcher.client.aio.client import AsyncClient
from launcher.text.safe_text import safe
from launcher.wire import NOTE

TAIL_LINES = 1000
MOST_LINES = 10_000
SHOW_SECONDS = 0.1
"""New lines are shown this often, however many there are."""
HELP = """\
up, down, k, j      choose a job        page up, page down, home, end
l, enter            the log of the job  (escape: back)
c                   cancel the job      (asks first)
h                   hold a waiting job, or release it
m                   only your jobs, or all
/                   filter: only jobs with this text; escape clears it
q, Ctrl-C           leave

A slice: its profile, who is on it, and how much of its memory is used.
LEFT is the time up to the time limit. START is when a waiting job starts
if all jobs before it take their whole time limit.
Only the owner of a job and admins see its processes.
"""


class LogScreen(Screen[None]):
    """The output of one job, which follows until the job has ended."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,l", "leave", show=False),
        Binding("j", "scroll(1)", show=False),
        Binding("k", "scroll(-1)", show=False),
    ]
    DEFAULT_CSS = """
    LogScreen Static { height: 1; }
    LogScreen #title { text-style: bold; }
    LogScreen Log { height: 1fr; }
    """

    def __init__(self, client: AsyncClient, ref: str) -> None:
        super().__init__()
        self._client, self._ref = client, ref
        self._lines = LogLines()
        self._new: list[str] = []
        self._log = Log(max_lines=MOST_LINES)
        self._last = Static("", markup=False)
        self._state = Static("", id="title", markup=False)

    def compose(self) -> ComposeResult:
        """Put the title above the log, and its unfinished last line below."""
        yield self._state
        yield self._log
        yield self._last

    def on_mount(self) -> None:
        """Start to read."""
        self._say("follows")
        self._log.focus()
        self.set_interval(SHOW_SECONDS, self._show)
        self.run_worker(self._read(), exit_on_error=False)

    def action_leave(self) -> None:
        """Go back; the stream is closed with the screen."""
        self.dismiss(None)

    def action_scroll(self, lines: int) -> None:
        """Scroll by lines."""
        self._log.scroll_relative(y=lines, animate=False)

    def _say(self, text: str) -> None:
        self._state.update(safe(f"log of job {self._ref}: {text} (escape: back)"))

    async def _read(self) -> None:
        try:
            async for frame in self._client.logs(self._ref, follow=True, tail=TAIL_LINES):
                note = frame.stream == NOTE
                self._new += self._lines.take(b"\n%s\n" % frame.data if note else frame.data)
                del self._new[:-MOST_LINES]
                await asyncio.sleep(0)  # a loud job must not keep the keys waiting
            self._say("complete")
        except errors.LauncherError as error:
            self._say(error.message)

    def _show(self) -> None:
        if self._new:
            self._log.write_lines(self._new)
            self._new = []
        self._last.update(self._lines.unfinished)


class TextScreen(ModalScreen[bool]):
    """A text over the first screen. With ``question``, ``y`` is yes, and other keys are no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", show=False),
        Binding("n,q,escape,enter,question_mark,space", "answer(False)", show=False),
    ]
    DEFAULT_CSS = """
    TextScreen { align: center middle; }
    TextScreen Vertical { width: auto; max-width: 100%; height: auto; border: round; }
    TextScreen Static { width: auto; max-width: 100%; padding: 0 1; }
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = safe(text, newlines=True)

    def compose(self) -> ComposeResult:
        """Show the text in a box."""
        with Vertical():
            yield Static(self._text, markup=False)

    def action_answer(self, answer: bool) -> None:
        """Close with the answer."""
        self.dismiss(answer)
