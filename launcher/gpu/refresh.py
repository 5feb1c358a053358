"""Updates device nodes and the CDI spec after a change of the layout, with the standard tools.

NVML creates instances without device nodes; nvidia-smi creates those (nvidia-modprobe). A CDI spec
is a static file, which nvidia-ctk has to write again after a change.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

SPEC_FOLDERS = ("etc/cdi", "var/run/cdi")
_KIND = re.compile(r"(?<![\w.-])nvidia\.com/gpu(?![\w-])")
UNIT = "nvidia-cdi-refresh.service"

Run = Callable[[Sequence[str]], str | None]


def specs(root: Path) -> list[Path]:
    """Return the CDI spec files that name NVIDIA's GPUs."""
    paths = (path for folder in SPEC_FOLDERS for path in sorted((root / folder).glob("*")))
    return [path for path in paths if _names_gpus(path)]


def _names_gpus(path: Path) -> bool:
    try:
        return path.suffix in (".yaml", ".json") and bool(_KIND.search(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError):
        return False


def refresh(root: Path, run: Run, which: Callable[[str], str | None]) -> list[str]:
    """Update device nodes and CDI specs for the layout; returns what could not be done.

    ``run`` returns the error as a sentence, None on success; ``which`` finds a tool.
    On a machine without the NVIDIA driver there is nothing to do.
    """
    problems: list[str | None] = []
    if which("nvidia-smi"):
        problems.append(run(["nvidia-smi", "-L"]))
    elif (root / "proc/driver/nvidia").exists():
        problems.append("nvidia-smi is not installed: new slices have no device nodes")
    return [problem for problem in [*problems, *_rewrite(root, run, which)] if problem]


def _rewrite(root: Path, run: Run, which: Callable[[str], str | None]) -> Iterator[str | None]:
    """Rewrite each spec: the toolkit's own unit first, then the remaining ones here.

    Docker prefers a device in /var/run/cdi to one in /etc/cdi, but also uses devices that only
    the latter names: an outdated spec still provides slices that are gone.
    """
    result = {path: _written(path) for path in specs(root)}
    units = ("etc/systemd/system", "lib/systemd/system", "usr/lib/systemd/system")
    if result and which("systemctl") and any((root / folder / UNIT).exists() for folder in units):
        yield run(["systemctl", "restart", UNIT])
        result = {path: at for path, at in result.items() if _written(path) == at}
    for path in result:
        if not which("nvidia-ctk"):
            yield f"{path} does not match the layout: nvidia-ctk is not installed"
        elif not os.access(path.parent, os.W_OK):
            yield (
                f"{path} does not match the layout: the daemon cannot write in {path.parent}. "
                "If the directory is newer than the service's start: `systemctl restart launcher`"
            )
        else:
            yield run(["nvidia-ctk", "cdi", "generate", f"--output={path}"])


def _written(path: Path) -> tuple[int, int] | None:
    """Return a file's inode and modification time, which show that it was rewritten."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns
