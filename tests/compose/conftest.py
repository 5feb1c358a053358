"""A dockerd for each kind of machine, the image on it, and a Compose project a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launcher.engine.connection import DockerConnection
from launcher.fakegpu import Machine
from launcher.fakegpu.sandbox import Sandbox
from tests.compose.stack import BASE, IMAGE, TOOLS, Stack, copy_repository
from tests.support.machines import library_without_mark

MakeStack = Callable[..., Stack]


@pytest.fixture(scope="session")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the images are of both kinds of machine."""
    return tmp_path_factory.mktemp("docker")


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this repository."""
    return copy_repository(tmp_path_factory.mktemp("clone"))


def running(sandbox: Sandbox) -> Iterator[Sandbox]:
    with sandbox:
        api = DockerConnection(sandbox.docker_host).api()
        if not api.images(BASE):
            api.import_image_from_file(str(TOOLS / "base.tar"), *BASE.split(":"))
            sandbox.import_busybox(IMAGE)
        yield sandbox


@pytest.fixture(scope="module")
def gpu_docker(disk: Path) -> Iterator[Sandbox]:
    """The Docker of a machine with NVIDIA's toolkit."""
    yield from running(Sandbox(disk))


@pytest.fixture(scope="module")
def plain_docker(disk: Path) -> Iterator[Sandbox]:
    """The Docker of a laptop without any NVIDIA part."""
    yield from running(Sandbox(disk, plain=True))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """An A30 with four slices, and a library that does not say that it is a stand-in."""
    made = Machine.create(tmp_path / "machine", "A30:1g.6gb*4")
    library_without_mark(made.directory / "card")
    return made


@pytest.fixture
def make_stack(repository: Path) -> Iterator[MakeStack]:
    """Return a maker of Compose projects; each is taken away at the end."""
    made: list[Stack] = []

    def make(sandbox: Sandbox, service: str, machine: Machine | None = None) -> Stack:
        made.append(Stack(sandbox, repository, service, machine))
        return made[-1]

    yield make
    for stack in made:
        stack.close()


@pytest.fixture
def stack(gpu_docker: Sandbox, make_stack: MakeStack, machine: Machine) -> Stack:
    """The default project on a machine with a card; not up yet."""
    return make_stack(gpu_docker, "launcher", machine)


@pytest.fixture
def laptop(plain_docker: Sandbox, make_stack: MakeStack) -> Stack:
    """The project with the fake GPU on a laptop; not up yet."""
    return make_stack(plain_docker, "fake")
