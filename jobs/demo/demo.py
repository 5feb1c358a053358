"""Runs the job files beside it in a sandbox, shows the queue live, then what became of each.

The sandbox: a private dockerd, a fake A30 cut into four 1g.6gb slices, an image made of busybox.
With ``--real-gpu`` the machine's own Docker and slices are used. Exit status 0 only if every job
ended as its file says under ``x-expect``.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.live import Live
from rich.table import Table

from launcher import Client
from launcher.config.default_paths import DOCKER_HOST
from launcher.engine.connection import DockerConnection
from launcher.engine.images import Images
from launcher.errors import LauncherError
from launcher.fakegpu.sandbox import Sandbox, import_busybox
from launcher.jobfile import load
from launcher.wire import JobView

HERE = Path(__file__).resolve().parent
SANDBOX = HERE.parent.parent / ".sandbox"
FAKE = "A30:1g.6gb*4"
IMAGE = "launcher/busybox:latest"
START_SECONDS = 30.0


def expectations() -> dict[str, dict[str, Any]]:
    """Return what each job's file says about its end, by the job's name."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(HERE.glob("*.yaml")):
        document = yaml.safe_load(path.read_text())
        jobs = document.get("jobs") or {document.get("name", path.stem): document}
        found |= {name: job["x-expect"] for name, job in jobs.items()}
    return found


@contextlib.contextmanager
def daemon(docker_host: str | None, fake_gpu: str | None) -> Iterator[Client]:
    """Run a daemon with a state directory of its own for as long as the demo takes."""
    with tempfile.TemporaryDirectory(prefix="launcher-demo-") as place:
        socket = str(Path(place) / "l.sock")
        command = [sys.executable, "-m", "launcher", "serve", "--socket", socket]
        command += ["--state-dir", str(Path(place) / "state")]
        command += ["--docker-host", docker_host] if docker_host else []
        command += ["--fake-gpu", fake_gpu] if fake_gpu else []
        log = Path(place) / "daemon.log"
        with log.open("wb") as file:
            process = subprocess.Popen(command, stdout=file, stderr=file)
        try:
            client = Client(socket)
            _wait_for(client, process, log)
            yield client
        finally:
            process.terminate()
            process.wait(20)


def _wait_for(client: Client, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            client.status()
            return
        except LauncherError:
            time.sleep(0.05)
    sys.exit(f"the demo's daemon did not come up:\n{log.read_text()[-2000:]}")


def queue_table(jobs: list[JobView]) -> Table:
    """Return the queue as it is now."""
    table = Table(title="launch ps", title_justify="left")
    for column in ("ID", "NAME", "STATE", "PROFILE", "SLICES", "REASON"):
        table.add_column(column)
    for job in jobs:
        slices = " ".join(uuid[:12] for uuid in job.slices)
        words = (job.name, job.word, job.profile, slices, job.reason)
        table.add_row(str(job.id), *(word or "-" for word in words))
    return table


def watch(client: Client, ids: list[str], console: Console) -> list[JobView]:
    """Show the queue until every job has ended; return the jobs as they ended."""
    last = ""
    with Live(console=console, refresh_per_second=8, transient=True) as live:
        while True:
            jobs = client.jobs(ids)
            if console.is_terminal:
                live.update(queue_table(jobs))
            elif (line := " ".join(f"{j.id}:{j.word}" for j in jobs)) != last:
                print(line, flush=True)
                last = line
            if all(job.outcome for job in jobs):
                return jobs
            time.sleep(0.15)


def seconds(start: str | None, end: str | None) -> str:
    """Return the seconds between two moments."""
    if start is None or end is None:
        return "-"
    between = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    return f"{max(0.0, between.total_seconds()):.2f} s"


def report(jobs: list[JobView], console: Console) -> bool:
    """Print the closing table; return whether every job ended as its file says."""
    expected = expectations()
    table = Table(title="What became of the demo's jobs", title_justify="left")
    for column in ("JOB", "SLICE", "OUTCOME", "EXIT", "WAITED", "RAN", "OK"):
        table.add_column(column, no_wrap=column in ("JOB", "SLICE"))
    all_well = True
    for job in jobs:
        want = expected[str(job.name)]
        well = (
            job.outcome == want["outcome"] and want.get("exit_code", job.exit_code) == job.exit_code
        )
        all_well &= well
        table.add_row(
            f"{job.id} {job.name}",
            "\n".join(uuid[:12] for uuid in job.slices) or "-",
            job.outcome,
            "-" if job.exit_code is None else str(job.exit_code),
            seconds(job.submitted_at, job.started_at),
            seconds(job.started_at, job.ended_at),
            "yes" if well else f"no: {want}",
        )
    console.print(table)
    return all_well


def run(serving: contextlib.AbstractContextManager[Client]) -> int:
    """Run the demo's jobs on one daemon; returns the exit status."""
    console = Console()
    with serving as client:
        files = [str(path) for path in sorted(HERE.glob("*.yaml"))]
        began = time.monotonic()
        submitted = client.submit(load(files))
        jobs = watch(client, [str(job.id) for job in submitted], console)
        took = time.monotonic() - began
        well = report(jobs, console)
    print(f"{len(jobs)} jobs in {took:.1f} s: {'all' if well else 'not all'} ended as they should")
    return 0 if well else 1


def on_this_machine() -> contextlib.AbstractContextManager[Client]:
    """Use the machine's own Docker and slices, by the daemon that has them if there is one."""
    host = os.environ.get("DOCKER_HOST") or DOCKER_HOST
    if Images(DockerConnection(host)).find(IMAGE) is None:
        import_busybox(Path(host.removeprefix("unix://")), IMAGE)
    client = Client()
    with contextlib.suppress(LauncherError):
        client.status()
        return contextlib.nullcontext(client)
    return daemon(host, None)


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real-gpu", action="store_true", help="use this machine's own slices")
    if parser.parse_args().real_gpu:
        return run(on_this_machine())
    with Sandbox(SANDBOX) as sandbox:
        sandbox.import_busybox(IMAGE)
        return run(daemon(sandbox.docker_host, FAKE))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LauncherError as error:
        sys.exit(f"demo: {error}")
