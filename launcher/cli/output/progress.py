"""Shows an image pull: progress bars on a terminal that can redraw, one plain line elsewhere."""

from __future__ import annotations

import sys
from typing import Any

from launcher.cli.output import terminal
from launcher.text.safe_text import safe


class PullProgress:
    """The layers of one pull; rich is loaded only when there is a pull and a terminal."""

    def __init__(self, image: str, *, quiet: bool) -> None:
        self._image = image
        self._quiet = quiet
        self._live: Any = None
        self._tasks: dict[str, Any] = {}
        self._announced = False

    def update(self, progress: dict[str, Any]) -> None:
        """Show where the layers are."""
        if self._quiet:
            return
        if self._live is None:
            self._live = _start() if sys.stderr.isatty() else None
        if self._live is None:
            self._announce()
            return
        for layer in progress.get("layers") or []:
            self._layer(layer)

    def close(self) -> None:
        """Leave the terminal to others."""
        if self._live is not None:
            self._live.stop()
            self._live = None
            self._tasks.clear()

    def _announce(self) -> None:
        if not self._announced:
            terminal.say(f"pulling {self._image}")
        self._announced = True

    def _layer(self, layer: dict[str, Any]) -> None:
        name = safe(str(layer.get("id", "")))[:20]
        status = safe(str(layer.get("status", "")))[:30]
        total, current = layer.get("total") or None, layer.get("current") or 0
        if name not in self._tasks:
            self._tasks[name] = self._live.add_task(name, total=total, status=status)
        finished = status in ("Pull complete", "Already exists")
        self._live.update(
            self._tasks[name],
            total=total or (1 if finished else None),
            completed=(total or 1) if finished else current,
            status=status,
        )


def _start() -> Any:
    """Return a display that has started; None where the terminal cannot redraw (TERM=dumb)."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    console = Console(stderr=True)
    if not console.is_interactive:
        return None
    live = Progress(
        TextColumn("{task.description:12}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[status]}", markup=False),
        console=console,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    live.start()
    return live
