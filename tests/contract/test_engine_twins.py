"""The simulation's Docker and a real one give the same answers to the calls that the daemon makes.

What the fake says yes to and a real dockerd does not would make every drill with it worthless.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from launcher.core.model.ids import labels
from launcher.engine.connection import DockerConnection
from launcher.engine.containers import Container, Containers, gpu_ids
from launcher.engine.images import Images, PullFailed
from launcher.engine.logs import Logs
from launcher.engine.outcome import Refusal, Refused
from launcher.fakegpu.sandbox import Sandbox
from tests.simulation.calls import FakeContainers, FakeImages, FakeLogs, Port, Weather
from tests.simulation.docker import FakeDocker
from tests.simulation.program import Program
from tests.simulation.virtual import Timeline
from tests.support.daemon import BUSYBOX
from tests.support.wait import wait_until

numbers = itertools.count(1)
NOWHERE = "127.0.0.1:1/nobody/nothing:1"


class RealTime(Timeline):
    """The machine's own time: the fake's containers run as long as they say."""

    @property
    def mono(self) -> float:  # type: ignore[override]
        return time.monotonic()

    @mono.setter
    def mono(self, value: float) -> None:
        pass

    @property
    def wall(self) -> float:  # type: ignore[override]
        return time.time()

    @wall.setter
    def wall(self, value: float) -> None:
        pass


@dataclass
class Twin:
    """One Docker: its calls, and what a test needs to know of it."""

    containers: Any
    images: Any
    logs: Any

    def make(self, program: Program | None = None, **fields: Any) -> str:
        """Create a container that does this; returns its name."""
        name = f"twin-{next(numbers)}"
        body = {"Image": BUSYBOX, "Cmd": (program or Program()).command()} | fields
        self.containers.create(name, body)
        return name

    def run(self, program: Program, **fields: Any) -> str:
        name = self.make(program, **fields)
        self.containers.start(name)
        return name

    def look(self, name: str) -> Container:
        found: Container | None = self.containers.inspect(name)
        assert found is not None
        return found

    def lines(self, name: str, *, follow: bool) -> list[tuple[int, bytes]]:
        return [(e.stream, e.data) for some in self.logs.read(name, follow=follow) for e in some]


@pytest.fixture(params=["real", "fake"])
def twin(request: pytest.FixtureRequest) -> Iterator[Twin]:
    """A real dockerd and the fake one, in turn."""
    if request.param == "real":
        sandbox: Sandbox = request.getfixturevalue("sandbox")
        docker: Containers = request.getfixturevalue("docker")
        connection = DockerConnection(sandbox.docker_host)
        yield Twin(docker, Images(connection), Logs(connection))
        return
    fake = FakeDocker(RealTime())
    fake.images[BUSYBOX] = "sha256:" + "1" * 64
    port = Port(fake, Weather(Random(1), latency=0.001))
    yield Twin(FakeContainers(port), FakeImages(port, {}), FakeLogs(port))


def refusal(call: Any, *arguments: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        call(*arguments)
    return caught.value


def test_a_container_is_created_runs_and_ends_with_its_code_and_times(twin: Twin) -> None:
    name = twin.make(Program(0.4, exit=9))
    made = twin.look(name)
    assert (made.status, made.running, made.ever_started, made.error) == (
        "created",
        False,
        False,
        "",
    )
    twin.containers.start(name)
    runs = twin.look(name)
    assert (runs.status, runs.running, runs.ever_started) == ("running", True, True)
    assert runs.pid > 0
    assert runs.finished_at is None
    twin.containers.wait(name)
    ended = twin.look(name)
    assert (ended.status, ended.running, ended.exit_code, ended.pid) == ("exited", False, 9, 0)
    assert (ended.started_at or "") < (ended.finished_at or "")
    assert ended.id == made.id == runs.id


def test_docker_has_an_event_of_each_end_that_it_saw(twin: Twin) -> None:
    runs, ends = twin.look(twin.run(Program(30.0))), twin.run(Program(0.1))
    twin.containers.wait(ends)
    assert twin.containers.saw_end(twin.look(ends).id)
    assert not twin.containers.saw_end(runs.id)


def test_a_name_is_taken_once(twin: Twin) -> None:
    name = twin.make()
    again = refusal(twin.containers.create, name, {"Image": BUSYBOX})
    assert (again.refusal, again.status) == (Refusal.CONFLICT, 409)
    assert f'The container name "/{name}" is already in use by container' in again.message


def test_an_image_that_is_not_here_is_refused_at_create(twin: Twin) -> None:
    refused = refusal(twin.containers.create, "none", {"Image": "nobody/none:1"})
    assert (refused.refusal, refused.status) == (Refusal.IMAGE_MISSING, 404)


def test_what_is_not_there_is_missing_for_some_calls_and_nothing_for_others(twin: Twin) -> None:
    assert twin.containers.inspect("nobody") is None
    for call in (twin.containers.start, twin.containers.wait):
        assert refusal(call, "nobody").refusal is Refusal.MISSING
    assert refusal(lambda: twin.lines("nobody", follow=False)).refusal is Refusal.MISSING
    twin.containers.remove("nobody")
    twin.containers.stop("nobody", 1.0)
    twin.containers.kill("nobody", "SIGTERM")


def test_a_command_that_is_not_there_leaves_a_created_container_with_code_and_error(
    twin: Twin,
) -> None:
    name = twin.make(Program(missing=True))
    refused = refusal(twin.containers.start, name)
    assert refused.refusal is Refusal.USER
    left = twin.look(name)
    assert (left.status, left.exit_code, left.ever_started) == ("created", 127, False)
    assert "no such file or directory" in left.error
    assert "/no/such/program" in refused.message


@pytest.mark.parametrize(
    ("program", "grace", "code"),
    [
        (Program(30.0, lines=2), 5.0, 143),
        (Program(30.0, exit=4, kind=True), 5.0, 4),
        (Program(30.0, stubborn=True), 0.0, 137),
        (Program(30.0, stubborn=True), 1.0, 137),
    ],
)
def test_stop_asks_waits_and_kills(twin: Twin, program: Program, grace: float, code: int) -> None:
    # tini passes TERM on, as in every container of ours; pid 1 itself would ignore it.
    name = twin.run(program, HostConfig={"Init": True})
    wait_until(lambda: twin.look(name).running)
    wait_until(lambda: twin.lines(name, follow=False) or not program.lines)
    _until_trapped(twin, program)
    twin.containers.stop(name, grace)
    wait_until(lambda: not twin.look(name).running, what="it ended")
    assert twin.look(name).exit_code == code
    twin.containers.stop(name, grace)
    twin.containers.kill(name, "SIGTERM")


def test_a_program_that_ignores_term_runs_on_until_it_is_killed(twin: Twin) -> None:
    name = twin.run(Program(30.0, stubborn=True), HostConfig={"Init": True})
    wait_until(lambda: twin.look(name).running)
    _until_trapped(twin, Program(30.0, stubborn=True))
    assert twin.look(name).stop_signal == "SIGTERM"
    twin.containers.kill(name, "SIGTERM")
    since = time.monotonic()
    wait_until(lambda: time.monotonic() - since > 0.3)
    assert twin.look(name).running
    twin.containers.kill(name, "SIGKILL")
    wait_until(lambda: not twin.look(name).running, what="it ended")
    assert twin.look(name).exit_code == 137


def _until_trapped(twin: Twin, program: Program) -> None:
    """A shell that has just begun has not set its trap yet."""
    if program.kind or program.stubborn:
        since = time.monotonic()
        wait_until(lambda: time.monotonic() - since > 0.3)


def test_kill_ends_what_runs_with_137(twin: Twin) -> None:
    name = twin.run(Program(30.0))
    twin.containers.kill(name, "SIGKILL")
    wait_until(lambda: not twin.look(name).running)
    assert twin.look(name).exit_code == 137


def test_starting_what_runs_changes_nothing_and_what_has_ended_runs_again(twin: Twin) -> None:
    """Which is why a start whose answer was lost is looked after, and not sent again."""
    name = twin.run(Program(0.4))
    before = twin.look(name)
    twin.containers.start(name)
    assert twin.look(name).pid == before.pid
    twin.containers.wait(name)
    twin.containers.start(name)
    again = twin.look(name)
    assert again.running
    assert (again.started_at or "") > (before.started_at or "")


def test_what_runs_can_be_removed_and_its_name_is_free_then(twin: Twin) -> None:
    name = twin.run(Program(30.0))
    twin.containers.remove(name)
    assert twin.containers.inspect(name) is None
    twin.containers.create(name, {"Image": BUSYBOX})


def test_ours_are_listed_in_every_state_by_their_store(twin: Twin) -> None:
    ours = labels("feed", 7, 2, (), 0)
    made = twin.make(Labels=ours)
    runs = twin.run(Program(30.0), Labels=ours)
    over = twin.run(Program(0.01), Labels=ours)
    twin.containers.wait(over)
    twin.make(Labels=labels("beef", 7, 2, (), 0))
    found = {c["Names"][0].lstrip("/"): c for c in twin.containers.ours("feed")}
    states = {name: listed["State"] for name, listed in found.items()}
    assert states == {made: "created", runs: "running", over: "exited"}
    assert found[runs]["Labels"] == ours
    assert twin.look(runs).belongs_to("feed", 7, 2)
    assert runs in {c["Names"][0].lstrip("/") for c in twin.containers.running()}


def test_the_slices_that_were_asked_for_are_shown_in_their_order(twin: Twin) -> None:
    request = {"Driver": "", "DeviceIDs": ["MIG-b", "MIG-a"], "Capabilities": [["gpu"]]}
    name = twin.make(HostConfig={"DeviceRequests": [request]})
    info = twin.look(name).info
    assert info["HostConfig"]["DeviceRequests"][0]["DeviceIDs"] == ["MIG-b", "MIG-a"]
    assert gpu_ids(info) == {"MIG-a", "MIG-b"}


def test_a_log_is_read_to_its_end_and_followed(twin: Twin) -> None:
    name = twin.run(Program(0.6, lines=4))
    lines = [(1, b"line %d\n" % i) for i in range(4)]
    assert twin.lines(name, follow=True) == lines
    twin.containers.wait(name)
    assert twin.lines(name, follow=False) == lines


def test_images_are_found_by_name_and_pulls_that_fail_say_so(twin: Twin) -> None:
    assert str(twin.images.find(BUSYBOX)).startswith("sha256:")
    assert twin.images.find(NOWHERE) is None
    with pytest.raises(PullFailed):
        twin.images.pull(NOWHERE, None, lambda layers: None)


def test_dockerd_is_known_by_its_process_and_whether_containers_outlive_it(twin: Twin) -> None:
    first, second = twin.containers.incarnation(), twin.containers.incarnation()
    assert first is not None
    assert first == second
    assert first.started_at <= time.time()
    assert first.live_restore is True
    assert twin.containers.engine_version()
