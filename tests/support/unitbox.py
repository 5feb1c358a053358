"""A command under what a systemd unit allows, without systemd: capabilities, devices, read-only.

It reads the unit's own text. The machine is a directory, ``root``: what the unit says of /etc, /run
and /dev holds below it. Reproduced are CapabilityBoundingSet=, NoNewPrivileges=, UMask=,
DevicePolicy=closed with DeviceAllow= (in a cgroup of the kernel's devices controller),
ProtectSystem=strict, ReadWritePaths=, RuntimeDirectory= and StateDirectory= (in a mount namespace);
the system call filter is not.
"""

from __future__ import annotations

import fnmatch
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import uuid4

DEVICES = Path("/sys/fs/cgroup/devices")
CLOSED = ("c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", "c 5:2 rw", "c 136:* rw")
"""What DevicePolicy=closed leaves (systemd.resource-control(5)): null, zero, full, random, ptys."""
API = ("dev", "proc", "sys")
"""What ProtectSystem=strict leaves writable (systemd.exec(5))."""
BOX = """\
set -e
mount --make-rprivate /
cd "$1"; shift
mount --bind . .
cd "$PWD"
while [ "$1" != -- ]; do
  case "$1" in -*) path=${1#-}; [ -e "$path" ] || { shift; continue; } ;; *) path=$1 ;; esac
  mount --bind "$path" "$path"; shift
done
shift
mount -o remount,bind,ro .
echo $$ > "$1/cgroup.procs"; shift
umask "$1"; shift
exec setpriv --no-new-privs --bounding-set "$@"
"""


def settings(text: str) -> dict[str, list[str]]:
    """Return each setting of a unit with the words that all its lines give it."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, is_setting, value = line.partition("=")
        if is_setting and not line.startswith("#"):
            found.setdefault(name, []).extend(value.split())
    return found


def device_rules(unit: dict[str, list[str]], root: Path) -> Iterator[str]:
    """Yield what the devices controller is to allow: drivers' names by the machine's own table."""
    assert unit["DevicePolicy"] == ["closed"]
    yield from CLOSED
    rows = [line.split() for line in (root / "proc/devices").read_text().splitlines()]
    words = unit["DeviceAllow"]
    for group, access in zip(words[::2], words[1::2], strict=True):
        pattern = group.removeprefix("char-")
        majors = [row[0] for row in rows if len(row) == 2 and fnmatch.fnmatch(row[1], pattern)]
        yield from (f"c {major}:* {access}" for major in majors)


def writable(unit: dict[str, list[str]], root: Path) -> list[str]:
    """Return the paths below the root that stay writable; ``-``: only where they are there.

    What systemd makes for the service is made.
    """
    made = [f"run/{name}" for name in unit["RuntimeDirectory"]]
    made += [f"var/lib/{name}" for name in unit["StateDirectory"]]
    for path in made:
        (root / path).mkdir(parents=True, exist_ok=True)
    assert unit["ProtectSystem"] == ["strict"]
    given = [path.replace("/", "", 1) for path in unit.get("ReadWritePaths", [])]
    return [*API, *made, *given]


def run_as_unit(text: str, root: Path, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command as systemd runs a unit's."""
    unit = settings(text)
    group = DEVICES / f"launcher-test-{uuid4().hex}"
    group.mkdir()
    try:
        (group / "devices.deny").write_text("a")
        for rule in device_rules(unit, root):
            (group / "devices.allow").write_text(rule)
        caps = [name.removeprefix("CAP_").lower() for name in unit["CapabilityBoundingSet"]]
        bounding = ",".join(["-all", *(f"+{name}" for name in caps)])
        paths = [*writable(unit, root), "--"]
        words = [str(root), *paths, str(group), unit["UMask"][0], bounding, *command]
        return subprocess.run(
            ["unshare", "--mount", "sh", "-c", BOX, "box", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        )
    finally:
        group.rmdir()
