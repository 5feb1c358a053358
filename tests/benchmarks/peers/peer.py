"""What every queue must do to be measured, and the job that it is given."""

from __future__ import annotations

import enum
import re
import shlex
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.peers.trace import JOB_MS, JOBS, finished

POLL_S = 0.02
RUN_SECONDS = 240.0
COMMAND_SECONDS = 60.0


class NotHereError(Exception):
    """This queue cannot be had on this machine; the message says why."""


class Mode(enum.StrEnum):
    """How a queue starts the job of the trace."""

    PROCESS = "process"
    DOCKER = "docker run"
    LAUNCHER = "launcher"


@dataclass(frozen=True, slots=True)
class Bench:
    """What all queues share: one dockerd, one image, one payload, four slices."""

    docker_host: str
    image: str
    payload: Path
    uuids: Sequence[str]
    programs: Path
    """The folder of programs that pip installed."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the trace: an empty folder for the queue, one for the records."""

    mode: Mode
    place: Path
    records: Path

    def payload(self, bench: Bench, number: str) -> list[str]:
        """Return the command of one job."""
        return [str(bench.payload), str(self.records), number, str(JOB_MS)]


class Peer(ABC):
    """One queue. A new one is made for every run."""

    name = ""
    modes: tuple[Mode, ...] = (Mode.PROCESS, Mode.DOCKER)
    rounds: int | None = None
    """At most this many runs, for a queue that takes a minute for each."""
    slot = "$2"
    """Which slot the queue gave the job, counted from 0, as a shell word."""
    number = "$1"
    cannot = ""
    """What it could not do, for the lines below the table."""

    def __init__(self, bench: Bench, run: Run) -> None:
        self.bench, self.run = bench, run

    @classmethod
    @abstractmethod
    def version(cls, bench: Bench) -> str:
        """Return the version that is here; NotHereError if there is none."""

    def start(self) -> None:  # noqa: B027 (a queue without a server has nothing to start)
        """Start its servers; returns when they take jobs."""

    @abstractmethod
    def submit(self) -> None:
        """Queue all jobs of the trace, in the way that people queue many."""

    def wait(self) -> None:
        """Return when all jobs have ended; TimeoutError after ``RUN_SECONDS``."""
        end = time.monotonic() + RUN_SECONDS
        while (there := finished(self.run.records)) < JOBS:
            self.check()
            if time.monotonic() > end:
                raise TimeoutError(f"{there} of {JOBS} jobs ended within {RUN_SECONDS:.0f} s")
            time.sleep(POLL_S)

    def check(self) -> None:  # noqa: B027 (a queue without a server cannot lose it)
        """Fail early, RuntimeError, where a server has ended."""

    def stop(self) -> None:  # noqa: B027
        """End everything that ``start`` and ``submit`` started."""

    def job(self) -> Path:
        """Write the job as a script that puts its payload on the slice of its slot."""
        path = self.run.place / "job.sh"
        path.write_text(script(self.bench, self.run, self.slot, self.number))
        path.chmod(0o755)
        return path


def script(bench: Bench, run: Run, slot: str, number: str) -> str:
    """Return what people write today: pick the slice by the slot, start the payload on it."""
    arms = [f"{at}) slice={uuid} ;;" for at, uuid in enumerate(bench.uuids)]
    words = " ".join([*map(shlex.quote, run.payload(bench, "")[:2]), f'"{number}"', str(JOB_MS)])
    if run.mode is Mode.DOCKER:
        docker = ["docker", "-H", bench.docker_host, "run", "--rm"]
        docker += ["-v", f"{bench.payload}:{bench.payload}:ro"]
        docker += ["-v", f"{run.records}:{run.records}"]
        line = f'exec {shlex.join(docker)} --gpus "device=$slice" {bench.image} {words}'
    else:
        line = f'NVIDIA_VISIBLE_DEVICES="$slice" exec {words}'
    other = f'*) echo "no slot: {slot}" >&2; exit 1 ;;'
    return "\n".join(["#!/bin/sh", f'case "{slot}" in', *arms, other, "esac", line, ""])


def output(command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> str:
    """Run a command of a queue; return what it printed, RuntimeError if it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        env=env,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise RuntimeError(": ".join([f"{Path(command[0]).name} ended {done.returncode}", *said]))
    return done.stdout


def version_of(command: Sequence[str | Path], word: str, package: str) -> str:
    """Return the number on the first line with ``word``; NotHereError if there is none."""
    try:
        lines = [line for line in output(command).splitlines() if word in line]
    except OSError as error:
        raise NotHereError(f"{package} is not installed ({error.strerror})") from None
    except RuntimeError as error:
        raise NotHereError(f"{package} does not work: {error}") from None
    found = re.search(r"\d[\w.]*", lines[0]) if lines else None
    if found is None:
        raise NotHereError(f"{Path(command[0]).name} is not that of {package}")
    return found[0]
