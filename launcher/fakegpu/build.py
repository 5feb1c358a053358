"""Compiles the shared library once, with the system's C compiler."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import subprocess
import tempfile
from importlib.resources import files
from pathlib import Path

from launcher.errors import LauncherError, UserError

SONAME = "libnvidia-ml.so.1"
FLAGS = (
    "-std=c11", "-D_GNU_SOURCE", "-O1", "-fPIC", "-shared", "-fvisibility=hidden", "-pthread",
    f"-Wl,-soname,{SONAME}",
)  # fmt: skip
COMPILE_SECONDS = 120.0
INSTALLED = Path(str(files("launcher.fakegpu"))) / "built"
"""The place of the library in an image, built with it: ``build_library(INSTALLED)``."""


def sources() -> list[Path]:
    """Return the C files and headers of the package, sorted."""
    folder = Path(str(files("launcher.fakegpu").joinpath("native")))
    return sorted([*folder.glob("*.c"), *folder.glob("*.h")])


def compiler() -> list[str]:
    """Return the compiler's command: ``$CC``, else ``cc``."""
    return shlex.split(os.environ.get("CC", "")) or ["cc"]


def compile_c(inputs: list[Path], output: Path, flags: list[str]) -> None:
    """Compile ``inputs`` into ``output``; without a compiler, UserError says what to install."""
    command = [*compiler(), *flags, *map(str, inputs), "-o", str(output)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=COMPILE_SECONDS, check=False
        )
    except FileNotFoundError:
        raise UserError(
            f"the fake GPU needs a C compiler; {command[0]!r} is not installed",
            fix="Run: apt-get install gcc libc6-dev (or set CC to a compiler).",
        ) from None
    except subprocess.TimeoutExpired:
        raise LauncherError(f"{command[0]} did not finish in {COMPILE_SECONDS:.0f} s") from None
    if done.returncode != 0:
        tail = "\n".join(done.stderr.strip().splitlines()[:6])
        raise LauncherError(
            f"{command[0]} cannot compile the fake GPU:\n{tail}",
            fix="If a header is missing, run: apt-get install libc6-dev.",
        )


def _digest(inputs: list[Path]) -> str:
    digest = hashlib.sha256(" ".join([*compiler(), *FLAGS, platform.machine()]).encode())
    for path in inputs:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def build_library(directory: Path) -> Path:
    """Return the compiled library, compiling it into ``directory`` if it is missing.

    The file is ``directory/<hash of sources and flags>/libnvidia-ml.so.1``, so its directory can be
    put on ``LD_LIBRARY_PATH``. It appears by rename, so that a killed compile leaves no partial
    file and parallel compiles are safe. An installation may already contain it.
    """
    inputs = sources()
    name = _digest(inputs)
    installed = INSTALLED / name / SONAME
    if installed.exists():
        return installed
    folder = directory / name
    library = folder / SONAME
    if library.exists():
        return library
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        temporary = Path(scratch) / SONAME
        compile_c([path for path in inputs if path.suffix == ".c"], temporary, list(FLAGS))
        temporary.replace(library)
    return library
