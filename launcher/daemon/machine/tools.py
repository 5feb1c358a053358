"""The machine as the checks see it: files below one root, and tools by name with short timeouts.

A fake machine has its own root, so that a check or repair never touches the real driver.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.config.settings import Config

ASK_SECONDS = 5.0
REPAIR_SECONDS = 30.0
SYSTEM_FOLDERS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Host:
    """``folders`` is the PATH in which tools are searched."""

    root: Path
    folders: str

    def file(self, path: str) -> Path:
        """Return the location of an absolute path of the machine."""
        return self.root / path.lstrip("/")

    def which(self, tool: str) -> str | None:
        """Return a tool's path, None if it is not installed."""
        return shutil.which(tool, path=self.folders)

    def output_of(self, *command: str) -> str | None:
        """Return a tool's output; None if it is not installed, fails, or takes too long."""
        tool = self.which(command[0])
        if tool is None:
            return None
        try:
            done = _run(tool, command[1:], ASK_SECONDS)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout if done.returncode == 0 else None

    def repair(self, command: Sequence[str]) -> str | None:
        """Run a repair; returns why it failed, as a sentence, None if it succeeded."""
        shown, tool = shlex.join(command), self.which(command[0])
        if tool is None:
            return f"cannot run `{shown}`: {command[0]} is not installed"
        try:
            done = _run(tool, command[1:], REPAIR_SECONDS)
        except subprocess.TimeoutExpired:
            return f"`{shown}` did not end within {REPAIR_SECONDS:g} s"
        except OSError as error:
            return f"cannot run `{shown}`: {error.strerror}"
        if done.returncode == 0:
            return None
        lines = (done.stderr or done.stdout).strip().splitlines()
        return f"`{shown}` failed: {lines[-1] if lines else f'exit status {done.returncode}'}"


def _run(tool: str, arguments: Sequence[str], seconds: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [tool, *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds,
        check=False,
        stdin=subprocess.DEVNULL,
        umask=0o022,  # repairs write for all users, the service itself does not
    )


def host_of(config: Config) -> Host:
    """Return the daemon's machine; with a fake GPU, NVIDIA's files are below the fake machine's
    directory."""
    if config.fake_gpu is not None and config.lock_dir is not None:
        root = config.lock_dir / "root"
        return Host(root, str(root / "usr/bin"))
    return Host(Path("/"), f"{os.environ.get('PATH', '')}:{SYSTEM_FOLDERS}")
