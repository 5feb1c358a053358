"""``make check-gpu`` on a stand-in A30, with an nvidia-smi that prints as the real one does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hardware.check_gpu import smi
from tests.support.machines import MakeMachine

ROOT = Path(__file__).parents[2]
LGIP = """\
+-------------------------------------------------------------------------------+
| GPU instance profiles:                                                        |
| GPU   Name               ID    Instances   Memory     P2P    SM    DEC   ENC  |
|                                Free/Total   GiB              CE    JPEG  OFA  |
|===============================================================================|
|   0  MIG 1g.6gb          14     2/4        5.81       No     14     1     0   |
|                                                               1     0     0   |
+-------------------------------------------------------------------------------+
|   0  MIG 1g.6gb+me       21     1/1        5.81       No     14     1     0   |
|                                                               1     1     1   |
+-------------------------------------------------------------------------------+
|   0  MIG 2g.12gb          5     1/2        11.69      No     28     2     0   |
|                                                               2     0     0   |
+-------------------------------------------------------------------------------+
|   0  MIG 2g.12gb+me       6     1/1        11.69      No     28     2     0   |
|                                                               2     1     1   |
+-------------------------------------------------------------------------------+
|   0  MIG 4g.24gb          0     0/1        23.44      No     56     4     0   |
|                                                               4     1     1   |
+-------------------------------------------------------------------------------+
"""
LGIPP = """\
GPU  0 Profile ID 14 Placements: {0,1,2,3}:1
GPU  0 Profile ID 21 Placements: {0,1,2,3}:1
GPU  0 Profile ID  5 Placements: {0,2}:2
GPU  0 Profile ID  6 Placements: {0,2}:2
GPU  0 Profile ID  0 Placement : {0}:4
"""


def test_the_tables_of_nvidia_smi_are_read() -> None:
    assert smi.profiles(LGIP)[0, 5] == smi.SmiProfile("2g.12gb", 2, 11.69, 28)
    assert smi.profiles(LGIP).keys() == smi.placements(LGIPP).keys()
    assert smi.placements(LGIPP)[0, 0] == ((0,), 4)
    line = "  MIG 1g.6gb      Device  0: (UUID: MIG-1f2e)\n"
    assert smi.mig_devices(f"GPU 0: NVIDIA A30 (UUID: GPU-1)\n{line}") == {"MIG-1f2e": "1g.6gb"}


def checked(place: Path, environment: dict[str, str]) -> tuple[int, str]:
    report = place / "report.md"
    env = {k: v for k, v in os.environ.items() if k not in ("LD_LIBRARY_PATH", "FAKEGPU_STATE")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.hardware.check_gpu", str(report)],
        cwd=ROOT, env=env | environment, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, report.read_text("utf-8")


def nvidia_smi(place: Path, rows: str, listed: str) -> str:
    """Write an nvidia-smi; return a PATH with it."""
    for name, text in (("rows", rows), ("L", listed), ("lgip", LGIP), ("lgipp", LGIPP)):
        (place / name).write_text(text)
    tool = place / "nvidia-smi"
    tool.write_text(f"""#!/bin/sh
case "$*" in
  --query-gpu=*) cat {place}/rows ;;
  -L) cat {place}/L ;;
  "mig -lgip") cat {place}/lgip ;;
  "mig -lgipp") cat {place}/lgipp ;;
  *) exit 6 ;;
esac
""")
    tool.chmod(0o755)
    return f"{place}:{os.environ['PATH']}"


@pytest.mark.parametrize("name", ["NVIDIA A30", "NVIDIA A31"])
def test_a_card_that_nvidia_smi_sees_likewise_is_well_and_a_difference_is_shown(
    make_machine: MakeMachine, tmp_path: Path, name: str
) -> None:
    machine = make_machine("A30:1g.6gb*2")
    (gpu,), uuids = machine.gpu_uuids(), machine.mig_uuids()
    listed = "".join(f"  MIG 1g.6gb      Device  0: (UUID: {uuid})\n" for uuid in uuids)
    env = machine.environment()
    code, report = checked(tmp_path, env)
    assert (code, "it is missing, or it fails" in report) == (1, True)
    driver = next(line for line in report.splitlines() if "| doctor driver " in line).split()[7]
    row = f"0, {gpu}, {name}, 24576, {driver}, Enabled, Enabled, 0x20B710DE, Disabled\n"
    env["PATH"] = nvidia_smi(tmp_path, row, f"GPU 0: {name} (UUID: {gpu})\n{listed}")
    code, report = checked(tmp_path, env)
    differs = [line for line in report.splitlines() if "DIFFERS" in line or "FAILED" in line]
    assert (code, len(differs)) == ((0, 0) if name == "NVIDIA A30" else (1, 1)), report
    assert all("GPU 0 name" in line for line in differs)
    assert "| launch slices | same |" in report
    assert "| GPU 0 2g.12gb placements | same |" in report
    assert machine.mig_uuids() == uuids, "nothing is changed"


def test_without_a_gpu_it_says_so_and_fails(tmp_path: Path) -> None:
    code, report = checked(tmp_path, {})
    assert (code, "NVIDIA management library" in report) == (1, True)
