"""What a real dockerd says no to, and that the table understands it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from launcher.engine.connection import DockerConnection
from launcher.engine.containers import Container, Containers
from launcher.engine.images import Images, PullFailed
from launcher.engine.outcome import Refusal, Refused
from launcher.fakegpu.sandbox import Sandbox
from tests.support.daemon import BUSYBOX
from tests.support.toolkit import SAYS
from tests.unit.engine.test_images import HOSTILE

PLAIN: dict[str, Any] = {"Image": BUSYBOX, "Cmd": ["true"]}
NAME = "refusals"


@pytest.fixture
def images(sandbox: Sandbox) -> Images:
    return Images(DockerConnection(sandbox.docker_host))


@pytest.fixture
def hook(sandbox: Sandbox) -> Iterator[Any]:
    yield sandbox.hook
    sandbox.hook.allow()


def host(**values: Any) -> dict[str, Any]:
    return PLAIN | {"HostConfig": values}


def gpu(**values: Any) -> dict[str, Any]:
    request = {"Driver": "", "DeviceIDs": ["MIG-x"], "Capabilities": [["gpu"]]} | values
    return host(DeviceRequests=[request])


def mount(source: str, target: str) -> dict[str, Any]:
    return host(Mounts=[{"Type": "bind", "Source": source, "Target": target}])


def refused(docker: Containers, body: dict[str, Any]) -> tuple[Refused, Container | None]:
    """Return Docker's refusal of a create or start, and what stands there afterwards."""
    with pytest.raises(Refused) as caught:
        docker.create(NAME, body)
        docker.start(NAME)
    return caught.value, docker.inspect(NAME)


AT_CREATE = {
    "an image that is not here": (PLAIN | {"Image": "nobody/none:1"}, Refusal.IMAGE_MISSING),
    "a relative working directory": (PLAIN | {"WorkingDir": "rel"}, Refusal.USER),
    "a bind source that is not there": (mount("/nonexistent/x", "/d"), Refusal.USER),
    "too little memory": (host(Memory=1000), Refusal.USER),
    "a number that is too large": (host(Memory=10**30), Refusal.USER),
    "more cores than there are": (host(NanoCpus=10**15), Refusal.USER),
    "a runtime that is not there": (host(Runtime="nvidia"), Refusal.INFRA),
}
AT_START = {
    "a command that is not there": (PLAIN | {"Cmd": ["nope"]}, Refusal.USER, 127),
    "a path that is not there": (PLAIN | {"Cmd": ["/nope"]}, Refusal.USER, 127),
    "a command that cannot run": (PLAIN | {"Cmd": ["/etc/passwd"]}, Refusal.USER, 126),
    "a command that is a directory": (PLAIN | {"Cmd": ["/etc"]}, Refusal.USER, 126),
    "an empty command": ({"Image": BUSYBOX, "Cmd": [""]}, Refusal.USER, 127),
    "a user that is not there": (PLAIN | {"User": "nobodyhere"}, Refusal.USER, 128),
    "a group that is not there": (PLAIN | {"User": "0:nosuchgroup"}, Refusal.USER, 128),
    "a NUL in the environment": (PLAIN | {"Env": ["A=a\0b"]}, Refusal.USER, 128),
    "a directory mounted on a file": (mount("/etc", "/etc/passwd"), Refusal.USER, 127),
    "a gpu driver that is not there": (gpu(Driver="nope"), Refusal.NO_GPU_SUPPORT, 128),
    "gpu words that nobody knows": (gpu(Capabilities=[["nosuch"]]), Refusal.NO_GPU_SUPPORT, 128),
}
UNDER_A_FILE = ["/etc/passwd", "/etc/passwd/x", "/etc/passwd/could not select device driver"]


@pytest.mark.parametrize("case", AT_CREATE)
def test_a_create_that_is_refused_makes_nothing(docker: Containers, case: str) -> None:
    body, meaning = AT_CREATE[case]
    error, left = refused(docker, body)
    assert (error.refusal, left) == (meaning, None), error.message


@pytest.mark.parametrize("case", AT_START)
def test_a_start_that_is_refused_leaves_a_container_that_never_ran(
    docker: Containers, case: str
) -> None:
    body, meaning, code = AT_START[case]
    error, left = refused(docker, body)
    assert error.refusal is meaning, error.message
    assert left is not None
    assert (left.ever_started, left.running, left.exit_code) == (False, False, code)
    assert left.error.strip() in error.message


@pytest.mark.parametrize("place", UNDER_A_FILE)
def test_a_working_directory_below_a_file_is_the_users_fault(
    docker: Containers, place: str
) -> None:
    error, _ = refused(docker, PLAIN | {"WorkingDir": place})
    assert error.refusal is Refusal.USER, error.message


@pytest.mark.parametrize(("text", "meaning"), SAYS)
def test_what_the_nvidia_hook_says_is_understood(
    docker: Containers, hook: Any, text: str, meaning: Refusal
) -> None:
    text = text.format(uuid="MIG-x")
    hook.refuse(text + "\n")
    error, left = refused(docker, gpu())
    assert error.refusal is meaning
    assert text in error.message
    assert left is not None
    assert not left.ever_started


def test_with_init_a_missing_command_starts_and_exits_127(docker: Containers) -> None:
    body = PLAIN | {"Cmd": ["nope"], "HostConfig": {"Init": True}}
    docker.create(NAME, body)
    docker.start(NAME)
    docker.wait(NAME)
    found = docker.inspect(NAME)
    assert found is not None
    assert (found.ever_started, found.exit_code) == (True, 127)


def test_a_name_that_is_taken_is_a_conflict(docker: Containers) -> None:
    docker.create(NAME, PLAIN)
    error, left = refused(docker, PLAIN)
    assert error.refusal is Refusal.CONFLICT
    assert left is not None


def test_a_signal_that_is_none_is_the_users_fault(docker: Containers) -> None:
    docker.create(NAME, PLAIN | {"Cmd": ["sleep", "60"]})
    docker.start(NAME)
    with pytest.raises(Refused) as caught:
        docker.kill(NAME, "SIGNOPE")
    assert caught.value.refusal is Refusal.USER


def test_a_start_of_what_is_not_there_is_missing(docker: Containers) -> None:
    with pytest.raises(Refused) as caught:
        docker.start("nonexistent")
    assert caught.value.refusal is Refusal.MISSING


def test_i8_no_image_name_of_a_user_finds_anything_but_an_image(
    docker: Containers, images: Images
) -> None:
    """`../containers/NAME` would be another call and answer with a container's id."""
    docker.create(NAME, PLAIN)
    for bad in [*HOSTILE, f"../containers/{NAME}", "UPPER/x"]:
        assert images.find(bad) is None, bad
    with pytest.raises(PullFailed, match="not an image reference"):
        images.pull(f"../containers/{NAME}", None, lambda layers: None)
    assert images.find(BUSYBOX) == images.find(BUSYBOX.partition(":")[0])
