"""``launch run`` of an image that must be pulled: what is shown while that takes its time."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.fakegpu.sandbox import Sandbox
from tests.acceptance.shell import Shell
from tests.acceptance.terminal import Terminal
from tests.support.daemon import DaemonProcess
from tests.support.gate import Gate
from tests.support.images import import_image, remove_image
from tests.support.registry import Registry
from tests.support.wait import wait_until

SIZE = 4_000_000
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
LAYER = re.compile(r"(\w+) +━*[╸╺]?━* +[\d.]+/[\d.?]+ \w+ +(\w[\w ]*)")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    made = Registry(tmp_path_factory.mktemp("registry"))
    yield made
    made.stop()


@pytest.fixture
def gate(registry: Registry) -> Iterator[Gate]:
    """What stops a pull in the middle of its one layer."""
    made = Gate(registry.port, SIZE // 2)
    yield made
    made.close()


@pytest.fixture
def image(sandbox: Sandbox, registry: Registry, gate: Gate, tmp_path: Path) -> str:
    """An image that is in the registry alone, and comes through the gate."""
    name = f"team/{tmp_path.name.lower().replace('_', '-')}:1"
    import_image(sandbox, name, {}, data=os.urandom(SIZE))
    registry.push(sandbox.docker_host, name, name)
    remove_image(sandbox, name)
    return f"{gate.host}/{name}"


def layers(text: str) -> set[tuple[str, str]]:
    """Every layer that a terminal has shown, with each state in which it was."""
    found = LAYER.findall(CONTROL.sub("", text))
    return {(layer, state.strip()) for layer, state in found}


def downloading(terminal: Terminal) -> None:
    """Wait until the terminal shows that a layer is under way."""
    wait_until(
        lambda: "Downloading" in {state for _, state in layers(terminal.shown)},
        timeout=20,
        what="a layer is being downloaded",
    )


def is_pulled(launch: Shell) -> None:
    """Wait until the last job waits for a pull that has begun."""
    wait_until(
        lambda: (
            "ImagePull: needs image" in (text := launch("show", "last").text)
            and "being pulled" in text
        ),
        what="the image is being pulled",
    )


def test_a_terminal_shows_the_layers_and_then_the_output(
    launch: Shell, shared: DaemonProcess, gate: Gate, image: str
) -> None:
    terminal = launch.open_terminal("run", "--profile", "1g.6gb", image, "wc", "-c", "/data")
    downloading(terminal)
    assert re.search(r"(?m) PENDING .* ImagePull$", launch("ps").ok().text)
    assert "being pulled" in launch("show", "last").ok().text
    assert {s.state for s in shared.client.slices()} == {"free"}, "a slice is held meanwhile"
    gate.open()
    code, text = terminal.end()
    assert code == 0
    end = rf"job \d+ runs on 1g\.6gb \(MIG-.*\)\r\n{SIZE} /data\r\n$"
    assert re.search(end, CONTROL.sub("", text))


def test_what_is_shown_as_a_layer_is_one(launch: Shell, gate: Gate, image: str) -> None:
    terminal = launch.open_terminal("run", image, "true")
    downloading(terminal)
    gate.open()
    code, text = terminal.end()
    assert code == 0
    assert all(re.fullmatch("[0-9a-f]{12}", layer) for layer, _ in layers(text)), layers(text)


def test_elsewhere_one_line_says_that_it_is_pulled(launch: Shell, gate: Gate, image: str) -> None:
    running = launch.start("run", image, "wc", "-c", "/data")
    running.says(f"pulling {image}\n")
    gate.open()
    ended = running.end().ok()
    assert ended.out == f"{SIZE} /data\n".encode()
    assert [line for line in ended.err.splitlines() if image in line] == [f"pulling {image}"]


@pytest.mark.parametrize("kind", ["dumb", "unknown"])
def test_a_terminal_that_cannot_redraw_shows_the_one_line(
    launch: Shell, gate: Gate, image: str, kind: str
) -> None:
    terminal = launch.open_terminal("run", image, "echo", "done", kind=kind)
    terminal.shows(f"pulling {image}")
    gate.open()
    assert re.fullmatch(rf"pulling {image}\r\njob \d+ runs\r\ndone\r\n", terminal.end()[1])


def test_quiet_shows_nothing_of_it(launch: Shell, gate: Gate, image: str) -> None:
    terminal = launch.open_terminal("run", "-q", image, "echo", "done")
    is_pulled(launch)
    assert terminal.shown == ""
    gate.open()
    assert terminal.end() == (0, "done\r\n")


def test_ctrl_c_twice_cancels_in_the_middle_of_a_pull(launch: Shell, image: str) -> None:
    terminal = launch.open_terminal("run", image, "true")
    downloading(terminal)
    terminal.type("\x03")
    terminal.shows("press Ctrl-C again to cancel it")
    terminal.type("\x03")
    code, text = terminal.end()
    assert code == 130
    assert "CANCELLED" in text
