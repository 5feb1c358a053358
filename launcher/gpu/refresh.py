"""After a change of the layout: device nodes and the CDI spec follow, by the tools made for that.

NVML creates instances and no device nodes; nvidia-smi does (nvidia-modprobe). A CDI spec is a file
and knows nothing of a change until it is written anew; nvidia-ctk writes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

SPEC_FOLDERS = ("etc/cdi", "var/run/cdi")
_KIND = re.compile(r"(?<![\w.-])nvidia\.com/gpu(?![\w-])")
UNIT = "nvidia-cdi-refresh.service"

Run = Callable[[Sequence[str]], str | None]


def specs(root: Path) -> list[Path]:
    """Return the CDI spec files that name NVIDIA's GPUs."""
    found = (path for folder in SPEC_FOLDERS for path in sorted((root / folder).glob("*")))
    return [path for path in found if _names_gpus(path)]


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
    problems += [_rewrite(path, root, run, which) for path in specs(root)]
    return [problem for problem in problems if problem]


def _rewrite(path: Path, root: Path, run: Run, which: Callable[[str], str | None]) -> str | None:
    units = ("etc/systemd/system", "lib/systemd/system", "usr/lib/systemd/system")
    if any((root / folder / UNIT).exists() for folder in units) and which("systemctl"):
        return run(["systemctl", "restart", UNIT])
    if which("nvidia-ctk"):
        return run(["nvidia-ctk", "cdi", "generate", f"--output={path}"])
    return f"{path} does not follow the layout: nvidia-ctk is not installed"
