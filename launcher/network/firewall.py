"""Blocks the cloud's metadata address for jobs, in the chain that Docker leaves to admins.

Docker puts DOCKER-USER in front of its own rules and does not change what is in it. Without that
chain Docker does not manage iptables here, and nothing is changed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from launcher.network import INTERFACE
from launcher.procfs import read_lines, read_text

CHAIN, DOCKERS = "LAUNCHER-NETWORK", "DOCKER-USER"
ADDRESSES = ("169.254.0.0/16", "168.63.129.16/32", "100.100.100.200/32")
"""Link-local (AWS, Google, Azure, Oracle and others), Azure's wire server, and Alibaba."""
_RULES = (
    # The same addresses are the clouds' name servers.
    *(f"-p {protocol} -m {protocol} --dport 53 -j RETURN" for protocol in ("udp", "tcp")),
    *(f"-d {address} -j REJECT --reject-with icmp-port-unreachable" for address in ADDRESSES),
)
_JUMP = f"{DOCKERS} -i {INTERFACE} -j {CHAIN}"
_RESTORE = "\n".join(
    ["*filter", f":{CHAIN} - [0:0]", *(f"-A {CHAIN} {rule}" for rule in _RULES), "COMMIT", ""]
)
"""Empties and fills the chain in one step: there is no moment without the rules."""
_DROP = re.compile(rf"-A \S+ -i {INTERFACE} -o {INTERFACE} -j DROP", re.ASCII)
WAIT_SECONDS, PATIENCE_SECONDS = "5", 15.0
FOLDERS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CAP_NET_ADMIN = 12
LOCK = Path("/run/launcher-network.lock")
_BRIDGE = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
_STATUS = Path("/proc/self/status")

Tool = Callable[[tuple[str, ...], str], tuple[int, str]]
"""Runs a command with a text as its input; returns its exit status and output."""


@dataclass(frozen=True, slots=True)
class FirewallState:
    """``metadata`` and ``isolation``: why jobs reach the metadata address or each other, else None.

    ``managed``: whether Docker manages iptables here. ``failed``: whether a change was refused.
    """

    managed: bool
    metadata: str | None = None
    isolation: str | None = None
    failed: bool = False


def apply(run: Tool | None = None, bridge: Path = _BRIDGE) -> FirewallState:
    """Make the rules where they are missing; return what holds then. Idempotent."""
    with _alone():
        return _apply(run or run_tool, bridge)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Keep other launchers from adding the same rule between our look and our change."""
    try:
        lock = LOCK.open("w")
    except OSError:  # then a rule may stand there twice
        yield
        return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _apply(run: Tool, bridge: Path) -> FirewallState:
    found = look(run, bridge)
    if not found.managed or found.metadata is None:
        return found
    commands: list[tuple[tuple[str, ...], str]] = [(("iptables-restore", "--noflush"), _RESTORE)]
    if not _has(run, [], _JUMP):
        commands.append((("iptables", "-I", *_JUMP.split()), ""))
    for command, text in commands:
        status, output = run(command, text)
        if status:
            reason = f"`{' '.join(command)}` failed: {_last_line(output, status)}"
            return dataclasses.replace(found, metadata=reason, failed=True)
    return look(run, bridge)


def look(run: Tool | None = None, bridge: Path = _BRIDGE) -> FirewallState:
    """Return what holds now, without changing anything; one call of iptables where all is well."""
    run = run or run_tool
    status, output = run(("iptables", "-S"), "")
    lines = output.split("\n")
    if status == 127:
        reason = "iptables is not installed"
    elif status:
        reason = f"iptables failed: {_last_line(output, status)}"
    elif f"-N {DOCKERS}" not in lines:
        reason = f"Docker does not manage iptables here: there is no chain {DOCKERS}"
    else:
        return FirewallState(True, _metadata(run, lines), _isolation(lines, bridge))
    return FirewallState(False, reason, reason)


def may_change(status: Path = _STATUS) -> bool:
    """Whether this process has CAP_NET_ADMIN."""
    try:
        lines = read_lines(status)
    except OSError:
        return False
    held = next((line.split()[1] for line in lines if line.startswith("CapEff:")), "0")
    return bool(int(held, 16) >> CAP_NET_ADMIN & 1)


def shares_network_with(pid: int, proc: Path = Path("/proc")) -> bool:
    """Whether a process is in this process's network namespace; False if that is unknown."""
    try:
        ours, theirs = ((proc / who / "ns/net").stat() for who in ("self", str(pid)))
    except OSError:
        return False
    return (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)


def run_tool(command: tuple[str, ...], text: str) -> tuple[int, str]:
    """Run iptables or iptables-restore; 127 if it is not installed."""
    tool = shutil.which(command[0], path=f"{os.environ.get('PATH', '')}:{FOLDERS}")
    if tool is None:
        return 127, f"{command[0]} is not installed"
    try:
        done = subprocess.run(
            [tool, "-w", WAIT_SECONDS, *command[1:]],
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, str(error)
    return done.returncode, done.stdout


def _metadata(run: Tool, lines: list[str]) -> str | None:
    if not all(_has(run, lines, rule) for rule in (_JUMP, *(f"{CHAIN} {r}" for r in _RULES))):
        return f"the rules of the chain {CHAIN} are missing"
    if not _has(run, lines, f"FORWARD -j {DOCKERS}"):
        return f"the chain FORWARD does not lead to {DOCKERS}"
    return None


def _has(run: Tool, lines: list[str], rule: str) -> bool:
    """Whether a rule is among these of ``iptables -S``, or there in other words."""
    return f"-A {rule}" in lines or run(("iptables", "-C", *rule.split()), "")[0] == 0


def _isolation(lines: list[str], bridge: Path) -> str | None:
    """Return why Docker's rule between the containers of the network has no effect.

    None also where the network is still to be made.
    """
    if not _has_interface():
        return None
    if not any(_DROP.match(line) for line in lines):
        return f"iptables has no rule between containers on {INTERFACE}"
    try:
        seen = read_text(bridge).strip()
    except OSError:
        return "the kernel module br_netfilter is not loaded: iptables does not see bridged packets"
    return None if seen == "1" else f"{bridge} is {seen}: iptables does not see bridged packets"


def _has_interface() -> bool:
    try:
        return socket.if_nametoindex(INTERFACE) > 0
    except OSError:
        return False


def _last_line(output: str, status: int) -> str:
    lines = [line for line in output.split("\n") if line.strip()]
    return lines[-1].strip() if lines else f"exit status {status}"
