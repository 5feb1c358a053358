"""A real runc between create and start: what has not begun is told from what has, and is dead."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.daemon.attempts import start_witness
from launcher.daemon.attempts.start_witness import CommandState, command_state
from tests.support.wait import wait_until


@pytest.fixture
def container(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Yield the id of a container that runc has made and not started, and runc's directory."""
    number, root = secrets.token_hex(32), tmp_path / "runc"
    bundle = tmp_path / "bundle"
    (bundle / "rootfs/bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", bundle / "rootfs/bin/sh")
    subprocess.run(["runc", "spec"], cwd=bundle, check=True)
    spec = json.loads((bundle / "config.json").read_text())
    spec["process"] |= {"terminal": False, "args": ["sh", "-c", "read never"]}
    spec["linux"]["cgroupsPath"] = f"/launcher-test/{number}"
    (bundle / "config.json").write_text(json.dumps(spec))
    hold, end = os.pipe()
    runc = ["runc", "--root", str(root)]
    subprocess.run(
        [*runc, "create", "--bundle", str(bundle), number],
        stdin=hold, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    os.close(hold)
    yield number, root
    os.close(end)
    subprocess.run([*runc, "delete", "--force", number], check=True)


def test_what_has_not_begun_is_dead_afterwards(container: tuple[str, Path]) -> None:
    number, root = container
    held: list[int] = []
    assert command_state(number, held.append) is CommandState.NOT_STARTED
    assert held == []
    (folder,) = start_witness._folders_of(number)
    assert start_witness.Freezer(folder).pids() == []
    refused = subprocess.run(["runc", "--root", str(root), "start", number], check=False)
    assert refused.returncode != 0


def test_what_has_begun_goes_on_and_its_init_is_held(container: tuple[str, Path]) -> None:
    number, root = container
    subprocess.run(["runc", "--root", str(root), "start", number], check=True)
    (folder,) = start_witness._folders_of(number)
    freezer = start_witness.Freezer(folder)

    def is_the_command() -> bool:
        (pid,) = freezer.pids()
        return b"never" in Path(f"/proc/{pid}/cmdline").read_bytes()

    wait_until(is_the_command)
    held: list[int] = []
    assert command_state(number, held.append) is CommandState.STARTED
    assert held == freezer.pids()
    (pid,) = held
    status = Path(f"/proc/{pid}/status")
    wait_until(lambda: "State:\tS" in status.read_text(), what="it sleeps in its read")
    wait_until(lambda: "frozen" not in Path(f"/proc/{pid}/wchan").read_text())


def test_no_process_tells_nothing() -> None:
    assert command_state(secrets.token_hex(32), lambda _: None) is CommandState.UNKNOWN
