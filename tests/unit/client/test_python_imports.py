"""What importing the Python interface loads: no more than is used."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import launcher", {"launcher.client", "asyncio", "socket"}),
        ("from launcher import Client", {"launcher.client.handles", "asyncio", "numbers"}),
        ("from launcher import Job", {"launcher.client.aio", "asyncio"}),
        ("from launcher import AsyncClient", {"aiohttp", "pydantic", "yaml", "docker"}),
    ],
)
def test_an_import_loads_only_what_it_needs(code: str, absent: set[str]) -> None:
    program = f"import sys\n{code}\nprint(*sorted(sys.modules), sep=chr(10))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        cwd=sys.path[0],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert absent & set(done.stdout.split()) == set()
