"""Docker as the daemon sees it: the engine room's classes over the fake dockerd, with faults.

A call takes time, may be refused, may fail to arrive, may be carried out with its answer lost, or
carried out after its caller gave up. What an answer says is always true at its moment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from launcher.core.model.ids import LABEL_STORE
from launcher.crashpoints import crashpoint
from launcher.daemon.loop import clock
from launcher.engine.containers import Container, Containers, parse
from launcher.engine.dockerd_identity import DockerdIdentity
from launcher.engine.image_files import ImageFacts
from launcher.engine.images import ImageConfig, PullFailed
from launcher.engine.logs import LogEntry
from launcher.engine.outcome import Refusal, Refused, Unknown
from launcher.errors import EngineUnavailable
from launcher.homes import DiskUse, HomeRequest, HomeUse
from tests.simulation.docker import FakeDocker

HOST = "unix:///simulated"
TIMEOUT = 60.0
CHANGES = ("create", "start", "stop", "kill", "remove")
AWAY = f"cannot reach Docker at {HOST}: it does not answer"


@dataclass
class Weather:
    """How reliable Docker is now: the chance of each fault at each call."""

    rng: Random
    chances: dict[str, float] = field(default_factory=dict)
    struck: Counter[str] = field(default_factory=Counter)
    tell: Callable[..., None] = lambda *words: None
    latency: float = 0.05
    script: dict[tuple[str, int], str] = field(default_factory=dict)
    """(call, how often it was made before) -> what goes wrong with it for certain."""
    made: Counter[str] = field(default_factory=Counter)

    def fault(self, call: str) -> str | None:
        """Return what goes wrong with this call, None for nothing."""
        number = self.made[call]
        self.made[call] += 1
        if (call, number) in self.script:
            self.struck[f"docker {self.script[call, number]}"] += 1
            return self.script[call, number]
        for kind, chance in self.chances.items():
            if self.rng.random() < chance:
                self.struck[f"docker {kind}"] += 1
                self.tell("fault", kind, call)
                return kind
        return None


class Port:
    """One way into dockerd, for all calls."""

    def __init__(self, docker: FakeDocker, weather: Weather) -> None:
        self.docker, self.weather = docker, weather

    def call(self, what: str, name: str, do: Callable[[], Any]) -> Any:
        """Carry out a call as the weather lets it."""
        if what in CHANGES:
            crashpoint(f"{what}:before")
            self.docker.asked[what, name] = self.docker.timeline.mono
        clock.sleep(self.weather.rng.uniform(0.1, 2.0) * self.weather.latency)
        result = self._do(what, name, do)
        self.weather.tell(what, name, "done")
        if what in CHANGES:
            crashpoint(f"{what}:after")
        return result

    def _do(self, what: str, name: str, do: Callable[[], Any]) -> Any:
        docker, now = self.docker, self.docker.timeline.mono
        if docker.down:
            raise EngineUnavailable(AWAY)
        if docker.stalled:
            self._later("", do, 0.0)
        docker.catch_up()
        if (busy := docker.busy.get(name, now) - now) > 0:
            if busy > TIMEOUT:
                self._later(name, do, busy)
            clock.sleep(busy)
            return self._do(what, name, do)
        match self.weather.fault(what):
            case "away":
                raise EngineUnavailable(AWAY)
            case "error":
                raise Refused(Refusal.INFRA, 500, "the simulated dockerd had an error")
            case "lost-before":
                raise Unknown(f"the response of Docker at {HOST} was lost: reset by peer")
            case "lost-after":
                self._quietly(do)
                raise Unknown(f"the response of Docker at {HOST} was lost: reset by peer")
            case "broken" if what == "start":
                docker.start(name)
                docker.lose_start(docker.get(name), "transport is closing: unavailable")
                raise Unknown("containerd's answer to Docker was lost: transport is closing")
            case "late":
                self._later(name, do, self.weather.rng.uniform(1.0, 2.0) * TIMEOUT)
            case "slow":
                clock.sleep(self.weather.rng.uniform(1, 40))
        return do()

    def _later(self, name: str, do: Callable[[], Any], after: float) -> None:
        """Let the caller give up; the work is done when dockerd comes to it.

        Until then the container is locked: who asks for it waits.
        """
        when = self.docker.timeline.mono + after
        self.docker.late.append((when, do))
        if name:
            self.docker.busy[name] = when
        clock.sleep(TIMEOUT)
        raise Unknown(f"the response of Docker at {HOST} was lost: read timed out")

    @staticmethod
    def _quietly(do: Callable[[], Any]) -> None:
        try:
            do()
        except Refused:
            return


class NoNetworks:
    """``engine.Networks`` of a Docker without a default bridge."""

    @staticmethod
    def of_one_start() -> Callable[[], None]:
        return lambda: None


class FakeContainers:
    """``engine.Containers`` over the fake dockerd."""

    def __init__(self, port: Port) -> None:
        self._port, self._docker = port, port.docker
        self.networks = NoNetworks()

    def engine_version(self) -> str:
        self._port.call("version", "", lambda: None)
        return "20.10.24+dfsg1"

    def architecture(self) -> str:
        return "amd64"

    def incarnation(self) -> DockerdIdentity | None:
        number = self._port.call("incarnation", "", lambda: self._docker.incarnation)
        return DockerdIdentity(number, number, self._docker.born, self._docker.live_restore)

    def saw_end(self, container_id: str) -> bool:
        told = self._port.call("events", "", lambda: self._docker.saw_end(container_id))
        return bool(told)

    def layer_size(self, name: str) -> int:
        return 0

    def create(self, name: str, body: dict[str, Any]) -> str:
        return str(self._port.call("create", name, lambda: self._docker.create(name, body)))

    def start(self, name: str) -> None:
        self._port.call("start", name, lambda: self._docker.start(name))

    def inspect(self, name: str) -> Container | None:
        try:
            return parse(self._port.call("inspect", name, lambda: self._docker.inspect(name)))
        except Refused as refused:
            if refused.refusal is Refusal.MISSING:
                return None
            raise

    find = Containers.find  # made of inspect alone

    def wait(self, name: str) -> None:
        box = self._port.call("wait", name, lambda: self._docker.get(name))
        incarnation, since = self._docker.incarnation, self._docker.timeline.mono
        while self._docker.alive(box) or name in self._docker.ghosts:
            left = box.life.ends - self._docker.timeline.mono
            clock.sleep(min(max(left, 0.001), 2.0) if left > 0 else 2.0)
            if self._docker.timeline.mono - since > TIMEOUT:
                raise Unknown(f"the response of Docker at {HOST} was lost: read timed out")
            if self._docker.down or self._docker.incarnation != incarnation:
                raise Unknown(f"the response of Docker at {HOST} was lost: broken off")

    def stop(self, name: str, grace: float) -> None:
        def do() -> None:
            self._docker.signal(name, kill=False, grace=grace)

        self._tolerant("stop", name, do)
        box = self._docker.boxes.get(name)
        while box is not None and self._docker.alive(box) and not self._docker.down:
            clock.sleep(min(1.0, max(0.01, grace)))

    def kill(self, name: str, signal: str) -> None:
        what = {"SIGKILL": True, "SIGTERM": False}.get(signal)
        self._tolerant(
            "kill", name, lambda: what is not None and self._docker.signal(name, kill=what)
        )

    def remove(self, name: str) -> None:
        self._tolerant("remove", name, lambda: self._docker.remove(name))

    def _tolerant(self, what: str, name: str, do: Callable[[], Any]) -> None:
        try:
            self._port.call(what, name, do)
        except Refused as refused:
            if refused.refusal not in (Refusal.MISSING, Refusal.CONFLICT):
                raise

    def ours(self, store: str) -> list[dict[str, Any]]:
        def look() -> list[dict[str, Any]]:
            boxes = self._docker.boxes.values()
            mine = (b for b in boxes if (b.body.get("Labels") or {}).get(LABEL_STORE) == store)
            return [self._docker.listed(box) for box in mine]

        found: list[dict[str, Any]] = self._port.call("list", store, look)
        return found

    def running(self) -> list[dict[str, Any]]:
        def look() -> list[dict[str, Any]]:
            boxes = self._docker.boxes.values()
            return [self._docker.listed(box) for box in boxes if self._docker.alive(box)]

        found: list[dict[str, Any]] = self._port.call("list", "", look)
        return found

    def is_ghost(self, found: Container) -> bool:
        return found.running and self.is_empty(found.id)

    def is_empty(self, container_id: str) -> bool:
        boxes = (*self._docker.boxes.values(), *self._docker.gone.values())
        now = self._docker.timeline.mono
        mine = [box.life for box in boxes if box.id == container_id]
        return not any(life is not None and life.gone > now for life in mine)


class FakeImages:
    """``engine.Images`` over the fake dockerd."""

    def __init__(self, port: Port, registry: dict[str, str]) -> None:
        self._port, self._registry = port, registry

    def find(self, reference: str) -> str | None:
        found = self._port.call("find", reference, lambda: self._port.docker.images.get(reference))
        return None if found is None else str(found)

    def all(self) -> dict[str, str]:
        here = self._port.call("find", "*", lambda: dict(self._port.docker.images))
        return {image_id: name for name, image_id in here.items()}

    def config(self, image_id: str) -> ImageConfig:
        return ImageConfig(dict(self._port.call("find", image_id, dict)))

    def pull(self, reference: str, auth: Any, progress: Any) -> str:
        def do() -> str:
            if reference not in self._registry:
                raise PullFailed(f"manifest for {reference} not found", transient=False)
            self._port.docker.images[reference] = self._registry[reference]
            return self._registry[reference]

        crashpoint("pull:before")
        try:
            pulled = str(self._port.call("pull", reference, do))
        except Unknown as unknown:
            raise PullFailed(unknown.message, transient=True) from unknown
        crashpoint("pull:after")
        return pulled


class FakeImageFiles:
    """``engine.ImageFiles`` of images without accounts."""

    def facts(self, image_id: str) -> ImageFacts:
        return ImageFacts()

    def config(self, image_id: str) -> ImageConfig:
        return ImageConfig()

    def sweep(self) -> None:
        pass


class FakeHomes:
    """``Homes`` that exist by name alone."""

    directory = "/homes"

    def __init__(self) -> None:
        self.names: set[str] = set()

    def make(self, request: HomeRequest) -> None:
        self.names.add(request.container)

    def of_containers(self, prefix: str) -> list[str]:
        return [name for name in self.names if name.startswith(prefix)]

    def users_with_caches(self) -> list[int]:
        return []

    def retire(self, containers: Collection[str] = (), uids: Collection[int] = ()) -> None:
        self.names -= set(containers)

    def empty(self) -> bool:
        return False

    def measure(self, containers: Collection[str], uids: Collection[int]) -> HomeUse:
        return HomeUse(
            {n: DiskUse(0, 0) for n in containers}, {u: DiskUse(0, 0) for u in uids}, 2**40
        )


class FakeLogs:
    """``engine.Logs`` over the fake dockerd."""

    def __init__(self, port: Port) -> None:
        self._port, self._docker = port, port.docker

    def is_raw(self, name: str) -> bool:
        return False

    def read(self, name: str, *, follow: bool, raw: bool = False) -> Iterator[list[LogEntry]]:
        box = self._port.call("logs", name, lambda: self._docker.get(name))
        incarnation, told = self._docker.incarnation, 0
        while True:
            lines = self._docker.lines(box)[told:]
            entries = [LogEntry(1, round(at * 1e9), line) for at, line in lines]
            if entries and self._port.weather.fault("log stream") is not None:
                yield entries[: len(entries) // 2]
                raise Unknown(f"the response of Docker at {HOST} was lost: cut")
            if entries:
                told += len(entries)
                yield entries
            if not follow or not self._docker.alive(box):
                return
            clock.sleep(1.0)
            if self._docker.down or self._docker.incarnation != incarnation:
                return  # it says nothing about the container
