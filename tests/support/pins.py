"""Users' directories as on a shared machine, a helper's pins beside them, and who attacks them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from launcher.engine.containers import Containers
from launcher.fakegpu import dockerapi
from launcher.fakegpu.sandbox import Sandbox
from launcher.mount_helper import Pins, RunningHelper, User
from tests.support.daemon import BUSYBOX
from tests.support.wait import wait_until

ALICE, BOB = User(61001, 61001, (61005,)), User(61002, 61002)
_LIBC = ctypes.CDLL(None, use_errno=True)
_NOSUID_NODEV, _SHARED, _DETACH = 2 | 4, 1 << 20, 2

SWAP = """
import ctypes, sys
libc, pairs = ctypes.CDLL(None), [name.encode() for name in sys.argv[1:]]
while True:
    for at in range(0, len(pairs), 2):
        libc.renameat2(-100, pairs[at], -100, pairs[at + 1], 2)  # RENAME_EXCHANGE
"""


class Ground:
    """Homes of alice and bob, a secret of root's, all where no user can rename anything above."""

    def __init__(self) -> None:
        # Not below /tmp: anybody can make something there.
        self.place = Path(tempfile.mkdtemp(prefix="launcher-pins-", dir="/run"))
        self.place.chmod(0o755)
        self.pins = self.place / "pins"
        self.homes = self.place / "homes"
        self.homes.mkdir(0o755)
        self.alice, self.bob = self.home("alice", ALICE), self.home("bob", BOB)
        self.of_alice = f"/{self.place.name}/homes/alice"
        """How her home ends in mountinfo, whose paths begin at a file system's own root."""
        self.secret = self.place / "root" / "secret"
        self.secret.mkdir(parents=True)
        self.secret.parent.chmod(0o700)
        self.write(self.secret / "key", "the secret")
        self.running: list[RunningHelper] = []

    def home(self, name: str, user: User) -> Path:
        """Make a home that others cannot look into."""
        return self.directory(self.homes / name, user, 0o700)

    def directory(self, path: Path, user: User, mode: int = 0o755) -> Path:
        """Make a directory of a user's."""
        path.mkdir()
        path.chmod(mode)
        os.chown(path, user.uid, user.gid)
        return path

    def write(self, path: Path, text: str, user: User | None = None) -> Path:
        """Make a file that everybody may read."""
        path.write_text(text)
        path.chmod(0o644)
        if user is not None:
            os.chown(path, user.uid, user.gid)
        return path

    def helper(self, *arguments: str, seconds: float = 30.0) -> tuple[Pins, RunningHelper]:
        """Return a helper of this place's pins, and its process."""
        running = RunningHelper(str(self.pins), arguments)
        self.running.append(running)
        return Pins(running.connect, seconds), running

    def mounts(self, below: Path | None = None, pid: int | str = "self") -> list[str]:
        """Return what is mounted below the pins: lines of mountinfo."""
        lines = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
        return [line for line in lines if line.split()[4].startswith(f"{below or self.pins}/")]

    def names(self) -> list[str]:
        """Return the containers that have a place among the pins."""
        return sorted(path.name for path in self.pins.iterdir()) if self.pins.exists() else []

    def close(self) -> None:
        """End helpers, unmount and remove all of it."""
        for running in self.running:
            running.close()
        for line in reversed(self.mounts(self.place)):
            _LIBC.umount2(line.split()[4].encode(), _DETACH)
        _LIBC.umount2(str(self.place).encode(), _DETACH)  # where a test mounted it on itself
        assert self.mounts(self.place) == []
        shutil.rmtree(self.place)


def mount(kind: str, target: Path, options: str = "") -> None:
    """Mount a file system."""
    _mount(kind.encode(), target, kind.encode(), _NOSUID_NODEV, options.encode())


def share(place: Path) -> None:
    """Make a place a mount of its own whose mounts propagate, as systemd does with all."""
    _mount(str(place).encode(), place, None, 4096, None)  # MS_BIND
    _mount(None, place, None, _SHARED, None)


def _mount(
    source: bytes | None, target: Path, kind: bytes | None, flags: int, options: bytes | None
) -> None:
    if _LIBC.mount(source, str(target).encode(), kind, ctypes.c_ulong(flags), options):
        raise OSError(ctypes.get_errno(), f"mount {target}")


@contextlib.contextmanager
def swapping(*pairs: tuple[Path, Path]) -> Iterator[None]:
    """Have the two of each pair change places as fast as can be."""
    names = [str(name) for pair in pairs for name in pair]
    first = pairs[0][0]
    before = first.lstat().st_ino
    swapper = subprocess.Popen([sys.executable, "-c", SWAP, *names])
    try:
        wait_until(lambda: first.lstat().st_ino != before, what="they change places")
        yield
    finally:
        swapper.kill()
        swapper.wait()


class Boxes:
    """Containers that mount what they are told and run a line of shell as a user."""

    def __init__(self, sandbox: Sandbox, docker: Containers) -> None:
        self._sandbox, self._docker = sandbox, docker

    def create(self, name: str, script: str, mounts: dict[str, str], user: User = ALICE) -> None:
        """Create one; ``mounts`` has the source of each target."""
        body = {
            "Image": BUSYBOX,
            "Cmd": ["sh", "-c", script],
            "User": f"{user.uid}:{user.gid}",
            "Tty": True,
            "HostConfig": {
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges"],
                "NetworkMode": "none",
                "Mounts": [
                    {
                        "Type": "bind",
                        "Source": source,
                        "Target": target,
                        "BindOptions": {"Propagation": "rprivate"},
                    }
                    for target, source in mounts.items()
                ],
            },
        }
        self._docker.create(name, body)

    def start(self, name: str) -> None:
        """Start one."""
        self._docker.start(name)

    def output(self, name: str) -> str:
        """Return what it has printed so far."""
        path = f"/containers/{name}/logs?stdout=1"
        return dockerapi.call(self._sandbox.socket, "GET", path)[1].decode().replace("\r\n", "\n")

    def end(self, name: str) -> str:
        """Wait for its end, remove it; returns what it printed."""
        self._docker.wait(name)
        printed = self.output(name)
        self._docker.remove(name)
        return printed

    def run(self, name: str, script: str, mounts: dict[str, str], user: User = ALICE) -> str:
        """Create, start, wait, remove; returns what it printed."""
        self.create(name, script, mounts, user)
        self.start(name)
        return self.end(name)
