"""Fake machines for tests: compiled once, every test its own state.

Import the fixtures where they are used: ``from tests.support.machines import build_directory,
make_machine``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launcher.fakegpu import Machine
from launcher.fakegpu.build import FLAGS, SONAME, compile_c, sources

MakeMachine = Callable[[str], Machine]
BUILT = Path(__file__).parents[2] / ".sandbox" / "fakegpu"
"""Where the library is compiled, a folder for each version of its sources."""


def compiled(machine: Machine) -> Machine:
    """Return the machine; its library is compiled once for all machines, not once for each."""
    BUILT.mkdir(parents=True, exist_ok=True)
    library = machine.directory / "lib"
    if not library.exists():
        library.symlink_to(BUILT)
    return machine


@pytest.fixture(scope="session")
def build_directory() -> Path:
    """Where the library is compiled, once for all workers of a run."""
    BUILT.mkdir(parents=True, exist_ok=True)
    return BUILT


@pytest.fixture
def make_machine(tmp_path: Path, build_directory: Path) -> Iterator[MakeMachine]:
    """Make a machine from a spec and let this process use it."""
    made: list[Machine] = []

    def make(spec: str) -> Machine:
        machine = Machine.create(tmp_path / f"machine-{len(made)}", spec)
        machine.load(build_directory)
        made.append(machine)
        return machine

    yield make
    for machine in made:
        machine.clear_faults()
        machine.close()


def library_without_mark(directory: Path) -> Path:
    """Compile the fake library so that it does not say that it is one: a real card's, to us."""
    directory.mkdir(parents=True, exist_ok=True)
    files = [path for path in sources() if path.suffix == ".c"]
    compile_c(files, directory / SONAME, [*FLAGS, "-Dfakegpu_use=another_use"])
    return directory / SONAME
