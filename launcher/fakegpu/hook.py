"""The stub NVIDIA hook: records starts, and refuses them on demand."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from launcher.fakegpu.build import compile_c, sources

NAME = "nvidia-container-runtime-hook"
FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-O1"]


@dataclass(frozen=True, slots=True)
class Start:
    """One start of a container: wall-clock nanoseconds, its full id, its devices."""

    time_ns: int
    container: str
    devices: tuple[str, ...]


class StubHook:
    """The hook's directory; ``bin`` in it goes first on dockerd's PATH.

    dockerd looks for the hook once, at its start. Each permitted start is a line in the file
    ``starts``, appended in one write, so that no restart loses it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.bin = directory / "bin"

    def build(self) -> Path:
        """Compile the hook unless it is up to date; return its path."""
        binary, stamp = self.bin / NAME, self.directory / "made-from"
        source = sources()[0].parent / "hook" / "hook.c"
        content = b"".join(path.read_bytes() for path in [source, *sources()])
        digest = hashlib.sha256(content).hexdigest()
        if binary.exists() and stamp.exists() and stamp.read_text(encoding="ascii") == digest:
            return binary
        self.bin.mkdir(parents=True, exist_ok=True)
        temporary = self.bin / f".{NAME}.{os.getpid()}"
        compile_c([source], temporary, FLAGS)
        temporary.replace(binary)
        stamp.write_text(digest, encoding="ascii")
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
        """Make the hook fail with ``text`` for containers whose devices contain ``devices``."""
        temporary = self.directory / f".refuse.{os.getpid()}"
        temporary.write_text(f"{exit_code}\n{devices}\n{text}", encoding="utf-8")
        temporary.replace(self.directory / "refuse")

    def allow(self) -> None:
        """Allow all starts again."""
        (self.directory / "refuse").unlink(missing_ok=True)

    def check_devices(self, state: Path | None) -> None:
        """Refuse devices that the fake machine with this state file lacks; None: do not check."""
        machine_file = self.directory / "machine"
        if state is None:
            machine_file.unlink(missing_ok=True)
        else:
            machine_file.write_bytes(os.fsencode(state))
