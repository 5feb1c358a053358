"""After a change of the layout: device nodes and the CDI spec follow, by the tools made for that.

NVML creates instances and no device nodes; nvidia-smi does (nvidia-modprobe). A CDI spec is a file
and knows nothing of a change until it is written anew; nvidia-ctk writes it.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

SECONDS = 60.0
SPEC_FOLDERS = ("etc/cdi", "var/run/cdi")
UNIT = "nvidia-cdi-refresh.service"

Run = Callable[[Sequence[str]], str | None]


def run(command: Sequence[str]) -> str | None:
    """Run a tool; returns what went wrong as a sentence, None where nothing did."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{' '.join(command)}: {error}"
    if done.returncode == 0:
        return None
    words = (done.stderr or done.stdout).strip().splitlines()
    return f"{' '.join(command)}: {words[-1] if words else f'exit status {done.returncode}'}"


def specs(root: Path = Path("/")) -> list[Path]:
    """Return the CDI spec files that name NVIDIA's GPUs."""
    found = (path for folder in SPEC_FOLDERS for path in sorted((root / folder).glob("*")))
    return [path for path in found if _names_gpus(path)]


def _names_gpus(path: Path) -> bool:
    try:
        return path.suffix in (".yaml", ".json") and "nvidia.com/gpu" in path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def refresh(
    root: Path = Path("/"),
    run: Run = run,
    which: Callable[[str], str | None] = shutil.which,
) -> list[str]:
    """Let device nodes and CDI specs follow the layout; returns what could not be done.

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
