"""The command stays fast: Textual is loaded only when a terminal is taken over."""

from __future__ import annotations

import subprocess
import sys

import pytest

MODULES = ["verbs.machine.top", "verbs.machine.slices", "verbs.jobs.ps", "live.frame",
           "live.watching"]  # fmt: skip


@pytest.mark.parametrize("module", MODULES)
def test_textual_and_asyncio_are_not_loaded_for_one_frame_or_a_table(module: str) -> None:
    code = (
        f"import sys, launcher.cli.{module}\n"
        "print([name for name in ('textual', 'rich', 'asyncio') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
