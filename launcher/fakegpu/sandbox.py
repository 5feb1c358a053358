"""A private dockerd with the stub NVIDIA hook: its own socket, data, containerd, and no network.

``python -m launcher.fakegpu.sandbox up|down|status --dir DIR`` runs one in the background.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from launcher.errors import LauncherError, UserError
from launcher.fakegpu import dockerapi
from launcher.fakegpu.hook import StubHook
from launcher.fakegpu.image import CHANGES, busybox_tar
from launcher.fakegpu.processes import (
    command_line,
    in_cgroup,
    is_running,
    remove_cgroup,
    stop_pid,
    unmount_below,
    with_argument,
)
from launcher.gpu.stand_in import HOOK_LABEL

RUN = Path("/run/launcher-sandbox")
START_SECONDS = 120.0
"""After a kill dockerd cleans up every container of the session, at 75 ms each."""
STOP_SECONDS = 20.0
POLL_S = 0.02
TOOLS = ("containerd-shim", "runc")

CONTAINERD_CONFIG = """\
version = 2
disabled_plugins = [
  "io.containerd.grpc.v1.cri",
  "io.containerd.cri.v1.images",
  "io.containerd.cri.v1.runtime",
  "io.containerd.internal.v1.opt",
  "io.containerd.internal.v1.tracing",
  "io.containerd.tracing.processor.v1.otlp",
]
"""


class Sandbox:
    """A private containerd and dockerd; a context manager, or ``start`` and ``stop``.

    Images, containers and logs are in ``directory``; sockets and other short-lived files in a short
    directory under /run, because a unix socket's path has at most 107 bytes. containerd is separate
    from dockerd, and live-restore is on: a killed dockerd loses neither containers nor exit codes.
    ``start`` takes over or removes what a killed earlier run left.
    Without ``gpu_support`` dockerd lacks the hook that its label promises, and runs only CPU
    jobs. A ``plain`` dockerd has neither, as on a machine without NVIDIA software. Without
    ``live_restore`` containers end with dockerd. Without ``own_containerd`` dockerd starts its own
    containerd. Many machines are configured so. In the network namespace ``netns`` (of ip-netns(8))
    dockerd has a bridge, and manages the firewall there with ``iptables``.
    """

    def __init__(
        self,
        directory: Path,
        *,
        gpu_support: bool = True,
        plain: bool = False,
        live_restore: bool = True,
        own_containerd: bool = True,
        netns: str | None = None,
        iptables: bool = True,
    ) -> None:
        self.directory = directory.resolve()
        self.gpu_support, self.plain = gpu_support and not plain, plain
        self.live_restore, self.own_containerd = live_restore, own_containerd
        self.netns, self.iptables = netns, iptables
        name = hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:12]
        self.run = RUN / name
        self.cgroup = f"launcher-sandbox-{name}"
        self.socket = self.run / "docker.sock"
        self.docker_host = f"unix://{self.socket}"
        self.hook = StubHook(self.directory / "hook")
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Sandbox:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        """Whether the sandbox's dockerd answers."""
        return dockerapi.answers(self.socket)

    def start(self) -> None:
        """Start containerd and dockerd; return when dockerd answers.

        UserError: not root, or Docker is not installed. LauncherError: a daemon does not start; the
        error has the end of its log.
        """
        if os.geteuid() != 0:
            raise UserError("the Docker sandbox needs root", fix="Run it with sudo.")
        dockerd, containerd = _program("dockerd"), _program("containerd")
        if self.running:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        self.run.mkdir(parents=True, exist_ok=True, mode=0o711)
        if self.gpu_support:
            self.hook.build()
        self._end("dockerd")
        try:
            if self.own_containerd:
                self.start_containerd(containerd)
            self.start_dockerd(dockerd)
        except BaseException:
            self._end("dockerd")
            self._end("containerd")
            raise

    def stop(self) -> None:
        """Remove every container, end both daemons and their processes, unmount everything."""
        if not self.running and self.shims():
            self.start()  # only their daemon can end the containers of a killed run cleanly
        if self.running:
            dockerapi.remove_all_containers(self.socket)
        self._end("dockerd")
        self._end("containerd")
        for pid in with_argument(str(self.run / "exec" / "containerd")):
            stop_pid(pid, signal.SIGTERM, STOP_SECONDS, None)  # left by a killed dockerd
        for pid in self.left():
            stop_pid(pid, signal.SIGKILL, STOP_SECONDS, None)
        remove_cgroup(self.cgroup)
        for root in (self.run, self.directory):
            unmount_below(root)
        shutil.rmtree(self.run, ignore_errors=True)

    def start_dockerd(self, dockerd: str | None = None) -> None:
        """Start only dockerd, after ``stop_dockerd``."""
        config = self.run / "daemon.json"
        config.write_text("{}", encoding="utf-8")
        command = [
            *([] if self.netns is None else ["nsenter", f"--net=/run/netns/{self.netns}"]),
            dockerd or _program("dockerd"),
            f"--host={self.docker_host}",
            f"--config-file={config}",
            *([f"--containerd={self._containerd_socket}"] if self.own_containerd else []),
            f"--data-root={self.directory / 'docker'}",
            f"--exec-root={self.run / 'exec'}",
            f"--pidfile={self.run / 'dockerd.pid'}",
            f"--cgroup-parent=/{self.cgroup}",
            "--exec-opt=native.cgroupdriver=cgroupfs",
            *self._network(),
            "--userland-proxy=false",
            *(["--live-restore"] if self.live_restore else []),
            *([] if self.plain else [f"--label={HOOK_LABEL}"]),
            "--group=root",
        ]
        try:
            self._start_dockerd(command)
        except LauncherError:
            if self.own_containerd:
                raise
            # On a busy machine dockerd may give up waiting for the containerd that it starts.
            self._start_dockerd(command)

    def _network(self) -> list[str]:
        if self.netns is not None:
            return [] if self.iptables else ["--iptables=false", "--ip-masq=false"]
        return ["--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"]

    def _start_dockerd(self, command: list[str]) -> None:
        (self.run / "dockerd.pid").unlink(missing_ok=True)
        self.socket.unlink(missing_ok=True)
        pid = self._spawn("dockerd", command)
        self._wait_for("dockerd", pid, lambda: self.running)

    def stop_dockerd(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End only dockerd; its containers go on."""
        self._end("dockerd", how)

    def stop_containerd(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End only containerd; the containers' shims go on. dockerd restarts its own containerd."""
        self._end("containerd", how)

    def shims(self) -> list[int]:
        """Return the pids of the shims: each running container has one."""
        ours = {self.pid("dockerd"), self.pid("containerd")}
        return [pid for pid in with_argument(str(self._containerd_socket)) if pid not in ours]

    def left(self) -> list[int]:
        """Return the pids of containers, their shims and runc, including those dockerd has lost.

        A dockerd killed during a start does not know what it has started.
        """
        tools = [
            pid
            for pid in with_argument(str(self.run))
            if Path((command_line(pid) or [""])[0]).name.startswith(TOOLS)
        ]
        return [*tools, *in_cgroup(self.cgroup)]

    def pid(self, daemon: str) -> int | None:
        """Return the pid of ``dockerd`` or ``containerd``, None if it does not run."""
        managed = daemon == "containerd" and not self.own_containerd
        place = self.run / "exec" / "containerd" if managed else self.run
        try:
            pid = int((place / f"{daemon}.pid").read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None
        # A pid may be reused after a killed run; our process has our directory as an argument.
        return pid if is_running(pid, str(self.run)) else None

    def import_busybox(self, tag: str = "launcher/busybox:latest") -> str:
        """Create the image ``tag`` from the machine's busybox-static; return the tag."""
        import_busybox(self.socket, tag)
        return tag

    @property
    def _containerd_socket(self) -> Path:
        if self.own_containerd:
            return self.run / "containerd.sock"
        return self.run / "exec" / "containerd" / "containerd.sock"

    def start_containerd(self, containerd: str | None = None) -> None:
        """Start only containerd, after ``stop_containerd``."""
        if self.pid("containerd") is not None:
            return
        config = self.run / "containerd.toml"
        config.write_text(CONTAINERD_CONFIG, encoding="utf-8")
        command = [
            containerd or _program("containerd"),
            f"--config={config}",
            f"--address={self._containerd_socket}",
            f"--root={self.directory / 'containerd'}",
            f"--state={self.run / 'containerd'}",
        ]
        self._containerd_socket.unlink(missing_ok=True)
        pid = self._spawn("containerd", command)
        (self.run / "containerd.pid").write_text(str(pid), encoding="ascii")
        self._wait_for("containerd", pid, self._containerd_socket.exists)

    def _spawn(self, daemon: str, command: list[str]) -> int:
        places = [str(self.hook.bin)] if self.gpu_support else []
        path = os.pathsep.join([*places, os.environ.get("PATH", ""), "/usr/sbin:/sbin"])
        environment = {"PATH": path, "TMPDIR": str(self.run)}
        with (self.directory / f"{daemon}.log").open("ab") as log:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        self._children[child.pid] = child
        return child.pid

    def _wait_for(self, daemon: str, pid: int, ready: Callable[[], bool]) -> None:
        end = time.monotonic() + START_SECONDS
        while not ready():
            ended = self._children[pid].poll() is not None
            if ended or time.monotonic() > end:
                if ended:
                    del self._children[pid]
                log = self.directory / f"{daemon}.log"
                tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:]
                raise LauncherError(
                    f"{daemon} {'ended' if ended else 'does not answer'}; the end of {log}:\n"
                    + "\n".join(tail)
                )
            time.sleep(POLL_S)

    def _end(self, daemon: str, how: signal.Signals = signal.SIGTERM) -> None:
        pid = self.pid(daemon)
        if pid is not None:
            stop_pid(pid, how, STOP_SECONDS, self._children.pop(pid, None))
        (self.run / f"{daemon}.pid").unlink(missing_ok=True)


def import_busybox(socket: Path, tag: str) -> None:
    """Create the image ``tag`` from busybox-static, in the dockerd on that socket."""
    dockerapi.import_image(socket, busybox_tar(), tag, CHANGES)


def _program(name: str) -> str:
    result = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if result is None:
        raise UserError(f"{name} is not installed", fix="Run: apt-get install docker.io")
    return result


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code (3: the sandbox is not running)."""
    parser = argparse.ArgumentParser(prog="python -m launcher.fakegpu.sandbox", description=__doc__)
    parser.add_argument("verb", choices=["up", "down", "status"])
    parser.add_argument("--dir", type=Path, required=True, help="directory of its data")
    parser.add_argument("--busybox", metavar="TAG", help="up: also create a busybox image")
    args = parser.parse_args(arguments)
    sandbox = Sandbox(args.dir)
    try:
        if args.verb == "down":
            sandbox.stop()
            return 0
        if args.verb == "up":
            sandbox.start()
            if args.busybox:
                sandbox.import_busybox(args.busybox)
    except LauncherError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    if not sandbox.running:
        print("not running", file=sys.stderr)
        return 3
    print(f"DOCKER_HOST={sandbox.docker_host}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
