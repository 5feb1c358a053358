from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.errors import Unavailable
from launcher.gpu import claim, claim_device
from tests.support.wait import wait_until

GPU = "GPU-11111111-2222-3333-4444-555555555555"

HOLD = """
import sys, pathlib, time
from launcher.gpu import claim
held = claim(sys.argv[1], pathlib.Path(sys.argv[2]), store="abc")
print("held", flush=True)
sys.stdin.read()
"""


def holder(directory: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, GPU, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_i13_a_gpu_claimed_by_one_daemon_is_refused_to_another_naming_its_pid(
    tmp_path: Path,
) -> None:
    with holder(tmp_path) as process:
        with pytest.raises(Unavailable) as caught:
            claim(GPU, tmp_path, store="xyz")
        process.communicate()
    assert f"pid {process.pid}" in str(caught.value)
    assert "store abc" in str(caught.value)


def test_i13_a_claim_dies_with_its_holder_even_by_sigkill(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    with_patience = wait_until(lambda: claim(GPU, tmp_path, store="xyz"), what="the claim")
    with_patience.release()


def test_a_released_gpu_can_be_claimed_again(tmp_path: Path) -> None:
    first = claim(GPU, tmp_path / "made", store="one")
    written = json.loads(first.path.read_text())
    assert written == {"pid": os.getpid(), "store": "one"}
    first.release()
    first.release()
    second = claim(GPU, tmp_path / "made", store="a longer name")
    assert json.loads(second.path.read_text())["store"] == "a longer name"
    second.release()


def test_other_gpus_are_not_concerned(tmp_path: Path) -> None:
    one, two = claim(GPU, tmp_path, store="s"), claim("GPU-other", tmp_path, store="s")
    one.release()
    two.release()


def test_one_process_cannot_claim_a_gpu_twice(tmp_path: Path) -> None:
    held = claim(GPU, tmp_path, store="s")
    with pytest.raises(Unavailable, match=f"pid {os.getpid()}"):
        claim(GPU, tmp_path, store="s")
    held.release()


def test_a_device_node_is_claimed_by_a_lock_on_it(tmp_path: Path) -> None:
    node = tmp_path / "nvidia0"
    node.touch()
    held = claim_device(GPU, node)
    with pytest.raises(Unavailable, match=f"pid {os.getpid()}"):
        claim_device(GPU, node)
    held.release()
    claim_device(GPU, node).release()


@pytest.mark.parametrize("where", ["lock", "node"])
def test_a_place_that_cannot_be_opened_is_named(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="cannot claim GPU-1"):
        if where == "lock":
            claim(GPU, tmp_path / "file", store="s")
        else:
            claim_device(GPU, tmp_path / "no-such-node")
