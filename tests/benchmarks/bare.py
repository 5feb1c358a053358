"""Bare Docker: what people write today, a docker-py loop with one thread per slice."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import docker

from tests.benchmarks.setup import Stand

_NUMBERS = itertools.count()


@dataclass(frozen=True, slots=True)
class Work:
    """One container to run; ``cold``: pull its image first, holding the slice."""

    image: str
    command: Sequence[str]
    cold: bool = False


def run(stand: Stand, work: Sequence[Work]) -> dict[str, str]:
    """Run all work, each thread on its own slice; returns the slice of every container id."""
    todo = iter(work)
    lock = threading.Lock()
    ran: dict[str, str] = {}

    def loop(slot: int) -> None:
        api = docker.APIClient(base_url=stand.sandbox.docker_host, timeout=120)
        while True:
            with lock:
                one = next(todo, None)
            if one is None:
                return
            ran[_one(api, one, stand.uuids[slot])] = stand.uuids[slot]

    threads = [threading.Thread(target=loop, args=(slot,)) for slot in range(len(stand.uuids))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ran


def _one(api: docker.APIClient, work: Work, uuid: str) -> str:
    if work.cold:
        for line in api.pull(work.image, stream=True, decode=True):
            assert "error" not in line, line
    host = api.create_host_config(
        init=True,
        device_requests=[
            docker.types.DeviceRequest(
                device_ids=[uuid], capabilities=[["gpu", "compute", "utility"]]
            )
        ],
        log_config=docker.types.LogConfig(
            type="local", config={"max-size": "50m", "max-file": "5", "compress": "false"}
        ),
    )
    name = f"bare-{next(_NUMBERS)}"
    made = api.create_container(work.image, list(work.command), name=name, host_config=host)["Id"]
    api.start(made)
    assert api.wait(made)["StatusCode"] == 0
    api.remove_container(made)
    return str(made)
