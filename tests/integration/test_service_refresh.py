"""Under the shipped unit device nodes and CDI specs follow the layout, or it is told what did not.

What runs is the daemon's own code, with stand-ins for NVIDIA's tools that do to the machine's files
what those do.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import pytest

from launcher.service.units import units
from tests.conftest import MakeDaemon
from tests.support.unitbox import run_as_unit

MAJOR = 240
SCRIPT = """\
import json, sys
from pathlib import Path
from launcher.core.model.gpu import Gpu, Inventory, Slice
from launcher.daemon.doctor.nvml import unfit
from launcher.daemon.machine.tools import Host
from launcher.gpu.refresh import refresh

class Reader:
    def device_node(self, uuid):
        return Path("/dev/nvidia0")

root = Path(sys.argv[1])
host = Host(root, f"{root}/usr/bin")
slices = (Slice("MIG-a", "GPU-a", 0, "1g.6gb", 14, 5952, 7, 0),)
found = Inventory("580", (Gpu("GPU-a", 0, "A30", 24576, True, True),), slices)
told = refresh(root, host.repair, host.which) + unfit(host, Reader(), False, found)
print(json.dumps(told))
"""
SMI = """\
#!/bin/sh
# As libnvidia-ml does (nvidia-modprobe-utils.c); what fails there is not told.
cd '{root}/dev' || exit 1
PATH=/usr/sbin:/usr/bin:/sbin:/bin
mkdir -m 0755 nvidia-caps; chmod 0755 nvidia-caps; chown 0:0 nvidia-caps
for minor in 66 67; do
  mknod nvidia-caps/nvidia-cap$minor c {major} $minor && chmod 0444 nvidia-caps/nvidia-cap$minor
done 2>/dev/null
exit 0
"""
CTK = """\
#!/bin/sh
# As nvidia-ctk does: a file beside it, then a rename.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
path=${3#--output=}
cat > "$path.new" <<EOS || exit 1
kind: nvidia.com/gpu
devices:
- name: MIG-a
  containerEdits:
    deviceNodes:
    - path: /dev/nvidia-caps/nvidia-cap66
    - path: /dev/nvidia-caps/nvidia-cap67
EOS
mv "$path.new" "$path"
"""
OLD = "kind: nvidia.com/gpu\ndevices:\n- name: MIG-gone\n"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine after a change of the layout: no nodes of the new slice, CDI specs of the old."""
    root = tmp_path / "machine"
    files = {
        "proc/devices": f"Character devices:\n195 nvidia\n{MAJOR} nvidia-caps\n",
        "proc/driver/nvidia-caps/mig-minors": "gpu0/gi7/access 66\ngpu0/gi7/ci0/access 67\n",
        "usr/bin/nvidia-smi": SMI.format(root=root, major=MAJOR),
        "usr/bin/nvidia-ctk": CTK,
        "etc/cdi/nvidia.yaml": OLD,
        "run/cdi/nvidia.yaml": OLD,
    }
    for path, text in files.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(0o755)
    for folder in ("dev", "sys", "var"):
        (root / folder).mkdir()
    (root / "var/run").symlink_to("../run")
    return root


@pytest.fixture
def unit() -> str:
    return units(Path("/usr/bin/true"), Path("/usr/bin/true"))["launcher.service"]


def refreshed(unit: str, machine: Path) -> list[str]:
    """Return what the daemon tells of a refresh under a unit."""
    command = [sys.executable, "-c", SCRIPT, str(machine)]
    done = run_as_unit(unit, machine, command)
    assert done.returncode == 0, done.stderr
    told: list[str] = json.loads(done.stdout)
    return told


def test_the_shipped_unit_lets_nodes_and_specs_follow(unit: str, machine: Path) -> None:
    assert refreshed(unit, machine) == []
    for minor in (66, 67):
        node = (machine / f"dev/nvidia-caps/nvidia-cap{minor}").stat()
        assert stat.S_ISCHR(node.st_mode)
        assert node.st_rdev == os.makedev(MAJOR, minor)
    assert stat.S_IMODE((machine / "dev/nvidia-caps").stat().st_mode) == 0o755
    for path in ("etc/cdi/nvidia.yaml", "run/cdi/nvidia.yaml"):
        assert "MIG-a" in (machine / path).read_text()
        assert stat.S_IMODE((machine / path).stat().st_mode) == 0o644


@pytest.mark.parametrize(
    ("granted", "instead", "told"),
    [
        (" CAP_MKNOD", "", "MIG-a has no /dev/nvidia-caps/nvidia-cap66 and no"),
        ("char-nvidia* rwm", "char-nvidia* rw", "MIG-a has no /dev/nvidia-caps/nvidia-cap66"),
        ("ReadWritePaths=-/etc/cdi", "", "/etc/cdi/nvidia.yaml does not match the layout"),
        ("RuntimeDirectory=launcher cdi", "RuntimeDirectory=launcher", "run/cdi/nvidia.yaml does"),
    ],
)
def test_what_a_unit_does_not_grant_is_told(
    unit: str, machine: Path, granted: str, instead: str, told: str
) -> None:
    assert granted in unit
    problems = refreshed(unit.replace(granted, instead), machine)
    assert [problem for problem in problems if told in problem], problems


def test_the_unit_grants_nothing_else_to_write_or_to_make(unit: str, machine: Path) -> None:
    tries = (
        f"touch {machine}/etc/shadow; touch {machine}/usr/bin/x; mknod {machine}/dev/sda b 8 0; "
        f"mknod {machine}/dev/mem c 1 1; true"
    )
    run_as_unit(unit, machine, ["sh", "-c", tries])
    made = ("etc/shadow", "usr/bin/x", "dev/sda", "dev/mem")
    assert [path for path in made if (machine / path).exists()] == []


def test_a_change_that_device_nodes_did_not_follow_says_so_in_its_reply_and_status(
    make_daemon: MakeDaemon,
) -> None:
    daemon = make_daemon("A30:").start()
    table = daemon.machine.directory / "root/proc/driver/nvidia-caps/mig-minors"
    table.parent.mkdir(parents=True)
    instances = [f"gpu0/gi{gi}" for gi in range(15)]
    names = [f"{instance}{ci}/access" for instance in instances for ci in ("", "/ci0")]
    table.write_text("".join(f"{name} {minor}\n" for minor, name in enumerate(names, 3)))
    done = daemon.cli("layout", "create", "1g.6gb@0")
    words = "has no /dev/nvidia-caps/nvidia-cap"
    assert (done.returncode, words in done.stderr) == (0, True), done.stderr
    status = daemon.client.status()
    assert status.state == "degraded"
    assert [each for each in status.problems if "after layout change 1: " in each and words in each]
    assert words in (daemon.client.layout.wait(1).warning or "")
    assert words in daemon.tail()
    table.unlink()  # nothing is missing for all that is known
    assert daemon.cli("layout", "create", "1g.6gb@1").returncode == 0
    assert daemon.client.status().state == "healthy"
    assert daemon.client.layout.wait(1).warning is None
