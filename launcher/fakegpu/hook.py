"""The stub NVIDIA hook: who ran where, on record, and refusals on demand."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from launcher.fakegpu.build import compile_c, sources

NAME = "nvidia-container-runtime-hook"
FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-O1"]


@dataclass(frozen=True, slots=True)
class Start:
    """One start of a container: wall-clock nanoseconds, its full id, the devices it was given."""

    time_ns: int
    container: str
    devices: tuple[str, ...]


class Hook:
    """The hook's directory; ``bin`` in it goes first on dockerd's PATH.

    dockerd looks for the hook once, at its start. Every start that the hook let through is a line
    of the file ``starts``, appended in one write: a record that no restart loses.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.bin = directory / "bin"

    def build(self) -> Path:
        """Compile the hook if it is missing or older than its source; return its path."""
        binary = self.bin / NAME
        source = sources()[0].parent / "hook" / "hook.c"
        if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
            self.bin.mkdir(parents=True, exist_ok=True)
            made = self.bin / f".{NAME}.{os.getpid()}"
            compile_c([source], made, FLAGS)
            made.replace(binary)
        return binary

    def starts(self) -> list[Start]:
        """Return every start so far, in order."""
        try:
            text = (self.directory / "starts").read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        rows = (line.split(" ", 2) for line in text.splitlines())
        return [
            Start(int(time), container, () if value == "-" else tuple(value.split(",")))
            for time, container, value in rows
        ]

    def refuse(self, text: str, *, exit_code: int = 1, devices: str = "*") -> None:
        """Let the hook fail with ``text`` for containers whose devices contain that word."""
        made = self.directory / f".refuse.{os.getpid()}"
        made.write_text(f"{exit_code}\n{devices}\n{text}", encoding="utf-8")
        made.replace(self.directory / "refuse")

    def allow(self) -> None:
        """Let every start through again."""
        (self.directory / "refuse").unlink(missing_ok=True)

    def check_devices(self, state: Path | None) -> None:
        """Refuse devices that the fake machine with this state file does not have; None: do not."""
        told = self.directory / "machine"
        if state is None:
            told.unlink(missing_ok=True)
        else:
            told.write_bytes(os.fsencode(state))
