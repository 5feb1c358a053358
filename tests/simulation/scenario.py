"""What happens to a simulated machine, by seed: what people ask, and what breaks when."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from launcher import wire
from tests.simulation.docker import Restart
from tests.simulation.program import Program

IMAGE, OTHER, NOWHERE = "busybox:1", "other:1", "nowhere:1"


@dataclass(frozen=True)
class Ask:
    """Somebody submits, or does something to the ``which``-th of the jobs submitted so far."""

    verb: str
    jobs: tuple[wire.JobSpec, ...] = ()
    which: float = 0.0
    value: Any = None


@dataclass(frozen=True)
class Trouble:
    """Something outside the daemon goes wrong, for ``seconds``."""

    kind: str
    seconds: float = 0.0
    which: float = 0.0
    how: Restart | None = None


@dataclass
class Scenario:
    """Events by their time in seconds from the start."""

    events: list[tuple[float, Ask | Trouble]] = field(default_factory=list)
    chances: dict[str, float] = field(default_factory=dict)
    crash_chance: float = 0.0
    latency: float = 0.05
    length: float = 0.0
    live_restore: bool = True
    tells_missed_ends: bool = True
    script: dict[tuple[str, int], str] = field(default_factory=dict)


def gpus(rng: Random) -> wire.GpuRequest:
    return rng.choices(
        [
            wire.GpuRequest(kind="profile", profile="1g.6gb"),
            wire.GpuRequest(kind="profile", profile="2g.12gb"),
            wire.GpuRequest(kind="profile", profile="1g.6gb", count=2),
            wire.GpuRequest(kind="memory", memory_gb=6),
            wire.GpuRequest(kind="none"),
        ],
        [5, 2, 1.5, 2, 2],
    )[0]


STARTS = {1: "after", 2: "after+1"}
"""What some jobs wait for instead: a start, or a minute after it."""


def program(rng: Random) -> Program:
    seconds = rng.choice([0.01, 0.3, 1.0, 5.0, 20.0, 60.0])
    return Program(
        seconds=seconds,
        exit=rng.choice([0, 0, 0, 1, 7, 137, 143, 255]),
        lines=rng.choice([0, 1, 5]),
        stubborn=rng.random() < 0.15,
        kind=rng.random() < 0.15,
        missing=rng.random() < 0.05,
        oom=rng.random() < 0.05,
        lingers=rng.choice([0, 0, 0, 0, 2.0, 30.0, 100.0]),
    )


def request(rng: Random, number: int) -> wire.JobSpec:
    """Return a job of any kind."""
    retries = rng.choice(
        [
            None,
            None,
            wire.Retries(max=2, on=("infra",), backoff=1.0),
            wire.Retries(max=1, on=("any",), backoff=0.0),
        ]
    )
    asked: dict[str, Any] = {"retries": retries} if retries is not None else {}
    if rng.random() < 0.15:
        asked["array"] = wire.ArrayRequest(
            indices=list(range(rng.randint(1, 4))), max_parallel=rng.choice([None, 1, 2])
        )
    asked["time_limit"] = rng.choice([None, None, 10.0, 120.0])
    if rng.random() < 0.2:
        how = rng.choice(["afterok", "afternotok", "afterany"])
        asked["depends_on"] = {"any": STARTS.get(number % 6, how)}
    if number % 9 == 7:
        asked["singleton"] = True
    if number % 5 == 4:
        asked["secrets"] = {"token": "aGlkZGVu"}
    if rng.random() < 0.2:
        asked["time_limit"] = 30.0
        asked["signal"] = wire.SignalBefore(name="SIGUSR1", before=rng.choice([2.0, 20.0]))
    return wire.JobSpec(
        name="alone" if "singleton" in asked else f"job{number}",
        image=rng.choices([IMAGE, OTHER, NOWHERE], [8, 2, 0.3])[0],
        command=program(rng).command(),
        gpus=gpus(rng),
        priority=rng.choice([10, 50, 50]),
        stop_grace_period=rng.choice([0.0, 2.0, 10.0]),
        hold=rng.random() < 0.05,
        preemptible=rng.random() < 0.25,
        **asked,
    )


def random_scenario(rng: Random, *, length: float = 120.0, jobs: int = 8) -> Scenario:
    """Return a scenario of so many seconds with about so many submits."""
    made = Scenario(length=length)
    for number in range(jobs):
        at = rng.uniform(0, length * 0.7)
        made.events.append((at, Ask("submit", (request(rng, number),))))
        while rng.random() < 0.4:
            # Mostly soon after: while the image is looked for, while it starts or ends.
            later = at + rng.choice([0.0, 0.05, 0.2, 0.5, 2.0, 15.0]) * rng.random()
            verb = rng.choice(
                ["cancel", "cancel", "requeue", "hold", "release", "edit", "retry", "signal"]
            )
            made.events.append((later, Ask(verb, which=0.999 - rng.random() ** 3)))
    made.live_restore = rng.random() < 0.6
    made.tells_missed_ends = rng.random() < 0.5
    for _ in range(rng.randint(0, 4)):
        made.events.append((rng.uniform(0, length), trouble(rng, live_restore=made.live_restore)))
    made.events.sort(key=lambda event: event[0])
    if rng.random() < 0.7:
        for kind in rng.sample(
            ["away", "error", "lost-before", "lost-after", "slow", "late", "broken"], 3
        ):
            made.chances[kind] = rng.choice([0.005, 0.02, 0.1])
    made.crash_chance = rng.choice([0.0, 0.002, 0.01, 0.03])
    made.latency = rng.choice([0.01, 0.05, 0.3])
    return made


def trouble(rng: Random, *, live_restore: bool) -> Trouble:
    """Return something that goes wrong outside."""
    kind = rng.choice(
        ["restart", "restart", "stall", "slice-changes", "slice-goes", "foreign", "nvml", "hides",
         "removed", "containerd", "image", "crash", "crash", "reboot", "dies",
         "dies-at-end"]
    )  # fmt: skip
    how = [Restart.LIVE, Restart.FORGETS] if live_restore else [Restart.STOPS, Restart.KILLS]
    return Trouble(kind, rng.choice([0.5, 3.0, 30.0]), rng.random(), rng.choice(how))


def calm_scenario(rng: Random) -> Scenario:
    """Return a scenario with one job of each kind and every verb, in which nothing goes wrong."""
    made = Scenario(length=30.0, latency=0.01)
    one, two = gpu_request("1g.6gb"), gpu_request("1g.6gb", 2)
    jobs = [
        wire.JobSpec(
            name="short", image=IMAGE, command=Program(0.3, lines=1).command(), gpus=one
        ),
        wire.JobSpec(name="gang", image=OTHER, command=Program(3.0, 7).command(), gpus=two),
        wire.JobSpec(
            name="again", image=IMAGE, command=Program(1.0, 1).command(), gpus=one,
            retries=wire.Retries(max=1, on=("any",)), secrets={"token": "aGlkZGVu"},
        ),
        wire.JobSpec(name="cpu", image=IMAGE, command=Program(missing=True).command()),
        wire.JobSpec(
            name="late", image=IMAGE, command=Program(60.0, stubborn=True).command(), gpus=one,
            time_limit=5.0, stop_grace_period=1.0,
            signal=wire.SignalBefore(name="SIGUSR1", before=2.0),
        ),
        wire.JobSpec(
            name="array", image=IMAGE, command=Program(0.5, lines=2, lingers=2.0).command(),
            gpus=one, array=wire.ArrayRequest(indices=[0, 1, 2], max_parallel=1),
        ),
        wire.JobSpec(name="doomed", image=IMAGE, command=Program(60.0).command(), gpus=one),
    ]  # fmt: skip
    for number, job in enumerate(jobs):
        made.events.append((rng.uniform(0, 4), Ask("submit", (job,), value=number)))
    made.events.append((6.0, Ask("requeue", which=0.999)))
    made.events.append((8.0, Ask("cancel", which=0.999)))
    made.events.append((8.0, Ask("cancel", which=0.5)))
    made.events.sort(key=lambda event: event[0])
    return made


def gpu_request(profile: str, count: int = 1) -> wire.GpuRequest:
    return wire.GpuRequest(kind="profile", profile=profile, count=count)
