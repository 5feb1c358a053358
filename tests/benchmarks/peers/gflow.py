"""gflow (the wheel is called runqd): each job is a tmux session."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

from launcher.fakegpu import Machine
from tests.benchmarks.peers.peer import Bench, Peer, Run, output, version_of
from tests.benchmarks.peers.servers import Servers, environment
from tests.benchmarks.peers.trace import JOBS, SLOTS

PORT = 59000
POLL_SECONDS = 1


class Gflow(Peer):
    """gflowd with four fake whole GPUs; the slot is the GPU that it gives."""

    name = "gflow"
    rounds = 1
    slot = "$CUDA_VISIBLE_DEVICES"
    cannot = (
        "sees GPUs, never MIG devices: it was given four fake whole GPUs, whose numbers are mapped "
        "to the slices; starts one tmux session a second, whatever is free; with its GPU poll of "
        "10 s the trace stood still (an end that comes while others start is missed), so it is "
        f"{POLL_SECONDS} s here; one run only, since it takes a minute"
    )

    def __init__(self, bench: Bench, run: Run) -> None:
        super().__init__(bench, run)
        self.servers = Servers(run.place)
        place = str(run.place)
        self.env = environment(
            HOME=place,
            XDG_CONFIG_HOME=f"{place}/config",
            XDG_DATA_HOME=f"{place}/data",
            XDG_RUNTIME_DIR=place,
            TMUX_TMPDIR=place,
            TMPDIR=place,
            PATH=f"{bench.programs}:{environment()['PATH']}",
            SHELL="/bin/bash",
        )

    @classmethod
    def version(cls, bench: Bench) -> str:
        """It needs tmux as well."""
        version_of(["tmux", "-V"], "tmux", "tmux")
        return version_of([bench.programs / "gflowd", "-V"], "gflowd", "runqd")

    def start(self) -> None:
        """Start gflowd on loopback, over the fake NVML."""
        self._write()
        gflowd = str(self.bench.programs / "gflowd")
        output([gflowd, "init", "--yes", "--gpu-poll-interval-secs", str(POLL_SECONDS)], self.env)
        self.servers.start([gflowd], self.env)
        self.servers.until(_listens, "gflowd listens")

    def submit(self) -> None:
        """One call for all, with a row of a file for each."""
        table = self.run.place / "numbers.csv"
        table.write_text("\n".join(["n", *map(str, range(1, JOBS + 1)), ""]))
        one = ["--gpus", "1", "--auto-close", "--param-file", str(table)]
        output([self.bench.programs / "gbatch", *one, str(self.job()), "{n}"], self.env)

    def check(self) -> None:
        """Gflowd has ended."""
        self.servers.check()

    def stop(self) -> None:
        """End gflowd, and the tmux server that it started in this run's folder."""
        self.servers.stop()
        if any(self.run.place.glob("tmux-*/default")):
            try:
                output(["tmux", "kill-server"], self.env)
            except RuntimeError as error:
                if "no server running" not in str(error):
                    raise

    def _write(self) -> None:
        place = self.run.place
        machine = Machine.create(place / "machine", ",".join(["T4"] * SLOTS))
        self.env |= machine.environment()
        # It looks for the name without a number, as a development package has it.
        library = Path(self.env["LD_LIBRARY_PATH"].split(":")[0]) / "libnvidia-ml.so.1"
        shutil.copy(library, place / "libnvidia-ml.so")
        shutil.copy(library, place / "libnvidia-ml.so.1")
        self.env["LD_LIBRARY_PATH"] = str(place)
        # A login shell in tmux has the distribution's PATH, where gcancel is not.
        (place / ".profile").write_text(f'export PATH="{self.env["PATH"]}"\n')


def _listens() -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", PORT)) == 0
