"""After a change of the layout: device nodes and the CDI spec follow, by the tools made for that.

NVML creates instances and no device nodes; nvidia-smi does (nvidia-modprobe). A CDI spec is a file
and knows nothing of a change until it is written anew; nvidia-ctk writes it.
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
    """Let device nodes and CDI specs follow the layout; returns what could not be done.

    ``run`` returns what went wrong as a sentence, None where nothing did; ``which`` finds a tool.
    On a machine without the NVIDIA driver there is nothing to do.
    """
    problems: list[str | None] = []
    if which("nvidia-smi"):
        problems.append(run(["nvidia-smi", "-L"]))
    elif (root / "proc/driver/nvidia").exists():
        problems.append("nvidia-smi is not installed: nobody makes the device nodes of new slices")
    return [problem for problem in [*problems, *_rewrite(root, run, which)] if problem]


def _rewrite(root: Path, run: Run, which: Callable[[str], str | None]) -> Iterator[str | None]:
    """Have each spec written anew: by the toolkit's own unit, and what that does not write by us.

    Docker takes a device from /var/run/cdi before /etc/cdi, but from there what only that names: a
    spec that is left as it was still hands out slices that are gone.
    """
    result = {path: _written(path) for path in specs(root)}
    units = ("etc/systemd/system", "lib/systemd/system", "usr/lib/systemd/system")
    if result and which("systemctl") and any((root / folder / UNIT).exists() for folder in units):
        yield run(["systemctl", "restart", UNIT])
        result = {path: at for path, at in result.items() if _written(path) == at}
    for path in result:
        if not which("nvidia-ctk"):
            yield f"{path} does not follow the layout: nvidia-ctk is not installed"
        elif not os.access(path.parent, os.W_OK):
            yield (
                f"{path} does not follow the layout: the daemon cannot write in {path.parent}. A "
                "service can where the folder was there at its start: `systemctl restart launcher`"
            )
        else:
            yield run(["nvidia-ctk", "cdi", "generate", f"--output={path}"])


def _written(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file is written anew: its inode, or when it was changed."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns
