"""A real sshd on loopback, in a namespace of its own: another machine that shares our files."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from tests.support.user import NAME
from tests.support.wait import wait_until

ENTER = """\
set -e
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/sshd /run/launcher
[ -z "$1" ] || ln -s "$1" /run/launcher/launcher.sock
mount --bind "$2" /etc/passwd
mount -t proc proc /proc
exec /usr/sbin/sshd -D -e -f "$3"
"""
"""An ordinary user gets a shell and a home; a daemon is where the system's is."""
CONFIG = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {place}/host
AuthorizedKeysFile {place}/authorized
PidFile none
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
MaxStartups 100
LogLevel VERBOSE
{more}
"""
CLIENT = """\
Host vm
  HostName 127.0.0.1
  Port {port}
  IdentityFile {place}/key
  IdentitiesOnly yes
  UserKnownHostsFile {place}/known
{more}
Host *
  HostName 127.0.0.1
  Port {port}
  UserKnownHostsFile {place}/known
"""
SSH = '#!/bin/sh\nexec /usr/bin/ssh -F {place}/config "$@"\n'


class Sshd:
    """Started at once; ``socket`` is found there as the system's daemon."""

    def __init__(self, socket: Path | None, *, more: str = "") -> None:
        self.place = Path(tempfile.mkdtemp(prefix="sshd-"))
        self.place.chmod(0o755)
        self.port = _free_port()
        self.log = self.place / "log"
        self._socket, self._more = socket, more
        self._process: subprocess.Popen[bytes] | None = None
        self._make_keys()
        self.configure("")
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def configure(self, more: str) -> None:
        """Write the client's configuration, with more lines for the host ``vm``."""
        text = CLIENT.format(port=self.port, place=self.place, more=more)
        (self.place / "config").write_text(text)

    @property
    def path(self) -> str:
        """A PATH whose ssh reads this configuration: ssh takes no home from the environment."""
        return f"{self.place / 'bin'}:{os.environ['PATH']}"

    def ssh(self, *words: str) -> None:
        """Run the user's ssh."""
        environment = {**os.environ, "PATH": self.path}
        subprocess.run(["ssh", *words], env=environment, stderr=subprocess.DEVNULL, check=False)

    def set_passphrase(self, old: str, new: str) -> None:
        """Change the passphrase of the user's key."""
        words = ["ssh-keygen", "-q", "-p", "-P", old, "-N", new, "-f", str(self.place / "key")]
        subprocess.run(words, stdout=subprocess.DEVNULL, check=True)

    def start(self) -> None:
        """Start it, and wait until it listens."""
        config = self.place / "sshd_config"
        config.write_text(CONFIG.format(port=self.port, place=self.place, more=self._more))
        words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", ENTER, "sh"]
        words += [str(self._socket or ""), str(self.place / "passwd"), str(config)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(words, stdout=log, stderr=log)
        wait_until(lambda: _listens(self.port), 10, f"sshd listens; {self.log.read_text()}")

    def stop(self) -> None:
        """End it and its sessions, as a machine that is switched off."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def cut(self) -> None:
        """End the sessions alone."""
        for pid in self.sessions():
            os.kill(pid, signal.SIGKILL)

    def sessions(self) -> list[int]:
        """Return the processes of its sessions."""
        assert self._process is not None
        parents = _parents()
        listener = [pid for pid, parent in parents.items() if parent == self._process.pid]
        return [pid for pid, parent in parents.items() if parent in listener]

    def accepted(self) -> int:
        """Return how many connections were accepted until now."""
        return self.log.read_text().count("Accepted publickey")

    def close(self) -> None:
        """End it and remove its files."""
        self.stop()
        subprocess.run(["rm", "-rf", str(self.place)], check=True)

    def _make_keys(self) -> None:
        for name in ("host", "key"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.place / name)],
                check=True,
            )
        (self.place / "authorized").write_bytes((self.place / "key.pub").read_bytes())
        host = (self.place / "host.pub").read_text()
        (self.place / "known").write_text(f"[127.0.0.1]:{self.port} {host}")
        binary = self.place / "bin" / "ssh"
        binary.parent.mkdir()
        binary.write_text(SSH.format(place=self.place))
        binary.chmod(0o755)
        home = self.place / "home"
        home.mkdir()
        user = pwd.getpwnam(NAME)
        os.chown(home, user.pw_uid, user.pw_gid)
        lines = [
            line
            for line in Path("/etc/passwd").read_text().splitlines()
            if not line.startswith(f"{NAME}:")
        ]
        lines.append(f"{NAME}:x:{user.pw_uid}:{user.pw_gid}::{home}:/bin/sh")
        (self.place / "passwd").write_text("\n".join([*lines, ""]))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _parents() -> dict[int, int]:
    result = {}
    for place in Path("/proc").iterdir():
        if place.name.isdecimal():
            try:
                stat = (place / "stat").read_text()
            except OSError:
                continue
            result[int(place.name)] = int(stat.rpartition(")")[2].split()[1])
    return result
