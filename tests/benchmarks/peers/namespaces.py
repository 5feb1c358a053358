"""A network with loopback only, and a pid namespace: what is started here ends with it.

Some of the servers listen on every address; here there is none but loopback. Whatever a killed
run leaves behind, the kernel ends.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

MARK = "LAUNCHER_BENCH_PEERS"
UNSHARE = ["unshare", "--net", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]


def inside() -> bool:
    """Whether this process is the one that measures."""
    return os.environ.get(MARK) == "1"


def enter(module: str, arguments: list[str], programs: Path) -> NoReturn:
    """Go on as the module in namespaces of its own: who ends this process ends all of it."""
    command = [*UNSHARE, sys.executable, "-m", module, "--programs", str(programs), *arguments]
    sys.stdout.flush()
    os.execvpe(command[0], command, os.environ | {MARK: "1"})


def settle() -> None:
    """Bring up the loopback, call this machine localhost, end in order when told to.

    The second address: glibc resolves no address at all where 127.0.0.1 is the only one. The
    signal: the first process of a pid namespace gets only those that it asks for.
    """
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    for words in ("link set lo up", "addr add 127.0.0.2/8 dev lo"):
        subprocess.run(["busybox", "ip", *words.split()], check=True)
    socket.sethostname("localhost")
    os.environ["PATH"] += ":/usr/sbin:/sbin"
