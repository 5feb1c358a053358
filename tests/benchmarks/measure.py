"""The measurements, each ours against theirs in alternating rounds of one run."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from launcher.engine.connection import DockerConnection
from launcher.wire import JobSpec, JobView
from tests.benchmarks import bare
from tests.benchmarks.bare import Work
from tests.benchmarks.processor import processor_seconds
from tests.benchmarks.record import Record
from tests.benchmarks.setup import ONE, Result, Stand
from tests.support.daemon import BUSYBOX
from tests.support.registry import Registry

ROUNDS = 5
SHORT_JOBS = 60
RUNS = 12
COLD_IMAGES = 6
JOBS_PER_IMAGE = 4
IMAGE_BYTES = 40_000_000


def _submit(stand: Stand, work: Iterable[Work]) -> list[JobView]:
    """Run the work on the launcher; returns the ended jobs."""
    requests = [
        JobSpec(name="bench", image=w.image, command=list(w.command), gpus=ONE) for w in work
    ]
    client = stand.daemon.client
    ended = [client.wait(str(job.id), timeout=300) for job in client.submit(requests)]
    assert {job.outcome for job in ended} == {"COMPLETED"}, ended
    return ended


def throughput_and_turnaround(stand: Stand) -> list[Result]:
    """Many short containers over four slices: how long they take, how long a slice is idle between
    two, and the processor time of the daemon beside that of the loop."""
    ours, theirs, our_gaps, their_gaps, our_work, their_work = [], [], [], [], [], []
    work = [Work(BUSYBOX, ["true"])] * SHORT_JOBS
    record = Record(stand.sandbox.docker_host)
    bare.run(stand, work[:8])
    _submit(stand, work[:8])
    for _ in range(ROUNDS):
        began, own = time.perf_counter(), time.process_time()
        ran = bare.run(stand, work)
        theirs.append(time.perf_counter() - began)
        their_work.append((time.process_time() - own) / SHORT_JOBS)
        their_gaps += record.gaps(ran)
        began, own = time.perf_counter(), _daemon_seconds(stand)
        jobs = _submit(stand, work)
        ours.append(time.perf_counter() - began)
        our_gaps += record.gaps({job.container_id or "": job.slices[0] for job in jobs})
        _settle(stand)
        our_work.append((_daemon_seconds(stand) - own) / SHORT_JOBS)
    median = statistics.median
    what = f"{SHORT_JOBS} short containers over 4 slices / docker-py loop, 4 threads"
    return [
        Result("throughput", what, median(ours), median(theirs), 1.10),
        Result(
            "turnaround",
            "idle time of a slice between two jobs / the same loop",
            median(our_gaps),
            median(their_gaps),
            1.0,
        ),
        Result(
            "processor",
            "processor time of the daemon for a short job / of the same loop",
            median(our_work),
            median(their_work),
            1.5,
        ),
    ]


def _daemon_seconds(stand: Stand) -> float:
    assert stand.daemon.process is not None
    return processor_seconds(stand.daemon.process.pid)


def _settle(stand: Stand) -> None:
    """Wait until no container of the last round is left to remove."""
    api = DockerConnection(stand.sandbox.docker_host).api()
    while api.containers(all=True):
        time.sleep(0.05)


def cold_images(stand: Stand) -> Result:
    """Jobs of six images that must be pulled first."""
    registry = Registry(stand.place / "registry")
    try:
        images = [_make_image(stand, registry, number) for number in range(COLD_IMAGES)]
        work = [
            Work(image, ["sleep", "1"], True) for image in images for _ in range(JOBS_PER_IMAGE)
        ]
        times: dict[str, list[float]] = {"ours": [], "theirs": []}
        for _ in range(ROUNDS):
            for who, how in (("theirs", bare.run), ("ours", _submit)):
                _forget(stand, images)
                began = time.perf_counter()
                how(stand, work)
                times[who].append(time.perf_counter() - began)
                _settle(stand)
    finally:
        registry.stop()
    return Result(
        "cold images",
        f"{len(work)} jobs of {COLD_IMAGES} images of 40 MB to pull first / the same loop",
        statistics.median(times["ours"]),
        statistics.median(times["theirs"]),
        0.8,
    )


def _make_image(stand: Stand, registry: Registry, number: int) -> str:
    api = DockerConnection(stand.sandbox.docker_host).api()
    command = ["sh", "-c", f"head -c {IMAGE_BYTES} /dev/urandom > /data"]
    made = api.create_container_from_config({"Image": BUSYBOX, "Cmd": command})["Id"]
    api.start(made)
    api.wait(made)
    api.commit(made, "bench/image", str(number))
    api.remove_container(made)
    reference = registry.push(stand.sandbox.docker_host, f"bench/image:{number}", f"bench:{number}")
    api.remove_image(f"bench/image:{number}")
    return reference


def _forget(stand: Stand, images: Iterable[str]) -> None:
    api = DockerConnection(stand.sandbox.docker_host).api()
    for image in images:
        if api.images(image):
            api.remove_image(image, force=True)


def run(stand: Stand) -> Result:
    """``launch run`` of ``true`` as a whole process, against ``docker run --rm`` of the same and
    the load of click, which a command in Python cannot do without."""
    ours: list[float] = []
    theirs: list[float] = []
    launch = ["run", "--profile", "1g.6gb", BUSYBOX, "true"]
    docker = ["docker", "-H", stand.sandbox.docker_host, "run", "--rm", BUSYBOX, "true"]
    command = str(Path(sys.executable).parent / "launch")
    for _ in range(RUNS):
        theirs.append(_timed(docker, stand) + _timed([sys.executable, "-c", "import click"], stand))
        ours.append(_timed([command, *launch], stand))
        _settle(stand)
    median = statistics.median
    what = "launch run of true / docker run --rm of it and `import click`"
    return Result("run", what, median(ours), median(theirs), 1.1)


def host(stand: Stand) -> Result:
    """``launch host`` of ``true`` on a free slice as a whole process, against ``launch ps``."""
    command = str(Path(sys.executable).parent / "launch")
    times: dict[str, list[float]] = {"host --profile 1g.6gb -- true": [], "ps": []}
    for _ in range(RUNS):
        for words, taken in times.items():
            taken.append(_timed([command, *words.split()], stand))
    ours, theirs = (statistics.median(taken) for taken in times.values())
    return Result("host", "launch host of true / launch ps", ours, theirs, 2.5)


def layout_show(stand: Stand) -> Result:
    """``launch layout show`` as a whole process, against ``launch slices``."""
    command = str(Path(sys.executable).parent / "launch")
    times: dict[str, list[float]] = {"layout show": [], "slices": []}
    for _ in range(RUNS):
        for words, taken in times.items():
            taken.append(_timed([command, *words.split()], stand))
    median = statistics.median
    return Result(
        "layout show",
        "launch layout show / launch slices",
        median(times["layout show"]),
        median(times["slices"]),
        1.5,
    )


def _timed(command: Sequence[str], stand: Stand) -> float:
    began = time.perf_counter()
    subprocess.run(command, env=stand.daemon.environment, check=True, capture_output=True)
    return time.perf_counter() - began
