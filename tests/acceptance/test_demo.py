"""``make demo``: the first thing that anybody sees of the launcher."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.fakegpu.sandbox import Sandbox
from tests.acceptance.shell import Ended

ROOT = Path(__file__).parents[2]
ENDS = {
    "hello": ("COMPLETED", "0"),
    "row-1": ("COMPLETED", "0"),
    "row-2": ("COMPLETED", "0"),
    "row-3": ("COMPLETED", "0"),
    "row-4": ("COMPLETED", "0"),
    "two-slices": ("COMPLETED", "0"),
    "fails": ("FAILED", "3"),
    "not-found": ("FAILED", "127"),
    "too-slow": ("TIMEOUT", "143"),
    "cpu-only": ("COMPLETED", "0"),
    "last-of-all": ("COMPLETED", "0"),
}
SECONDS = re.compile(r"\d+\.\d\d s")


@pytest.fixture(scope="module")
def demo() -> Ended:
    """What the demo wrote, run as ``make demo`` runs it, through pipes."""
    ours = ("LAUNCHER_", "DOCKER_", "COLUMNS")
    done = subprocess.run(
        [sys.executable, "jobs/demo/demo.py"],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if not key.startswith(ours)},
        capture_output=True,
        timeout=100,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr.decode())


@pytest.fixture(scope="module")
def rows(demo: Ended) -> dict[str, list[str]]:
    """The rows of the closing table by the job's name; a cell of several lines is one text."""
    found: list[list[str]] = []
    for line in demo.text.splitlines():
        if not line.startswith("│"):
            continue
        cells = [cell.strip() for cell in line.strip("│").split("│")]
        if cells[2]:
            found.append(cells)
        else:
            found[-1] = [f"{a} {b}".strip() for a, b in zip(found[-1], cells, strict=True)]
    return {row[0].split()[1]: row for row in found}


def test_it_succeeds_and_its_last_line_says_so(demo: Ended) -> None:
    assert (demo.code, demo.err) == (0, "")
    last = demo.text.splitlines()[-1]
    assert re.fullmatch(r"11 jobs in \d+\.\d s: all ended as they should", last)


def test_one_closing_table_says_how_every_job_ended(
    demo: Ended, rows: dict[str, list[str]]
) -> None:
    (headings,) = [line for line in demo.text.splitlines() if line.startswith("┃")]
    for word in ("JOB", "SLICE", "OUTCOME", "EXIT", "WAITED", "RAN"):
        assert word in headings
    assert {name: (row[2], row[3]) for name, row in rows.items()} == ENDS
    for row in rows.values():
        assert SECONDS.fullmatch(row[4]), row
        assert SECONDS.fullmatch(row[5]), row
        assert row[6] == "yes"


def test_every_job_had_its_slices_and_the_one_for_the_cpu_had_none(
    rows: dict[str, list[str]],
) -> None:
    had = {name: row[1].count("MIG-") for name, row in rows.items()}
    assert had.pop("cpu-only") == 0
    assert rows["cpu-only"][1] == "-"
    assert had.pop("two-slices") == 2
    assert len(set(rows["two-slices"][1].split())) == 2
    assert set(had.values()) == {1}


def test_more_jobs_than_slices_waited_and_then_ran(demo: Ended, rows: dict[str, list[str]]) -> None:
    seen = [line for line in demo.text.splitlines() if line.startswith("1:")]
    assert any(line.count("PENDING") >= 3 and line.count("RUNNING") >= 1 for line in seen)
    assert "PENDING" not in seen[-1]
    waited = {name: float(row[4].removesuffix(" s")) for name, row in rows.items()}
    assert waited["row-4"] > waited["hello"]
    assert waited["last-of-all"] > waited["row-4"]


def test_it_leaves_nothing_running(demo: Ended) -> None:
    sandbox = Sandbox(ROOT / ".sandbox")
    assert (sandbox.pid("dockerd"), sandbox.pid("containerd")) == (None, None)
    assert not sandbox.run.exists()
