"""Slices that share the memory of their GPU instance, with the installed command."""

from __future__ import annotations

import pytest

from launcher.wire import GpuRequest
from tests.acceptance.conftest import MakeShell
from tests.acceptance.shell import Shell
from tests.conftest import MakeDaemon
from tests.support.daemon import BUSYBOX, DaemonProcess
from tests.support.wait import wait_until

PART = "1c.7g.80gb"


@pytest.fixture
def daemon(make_daemon: MakeDaemon) -> DaemonProcess:
    return make_daemon(f"H100-80GB:{PART}*7").start()


@pytest.fixture
def launch(daemon: DaemonProcess, shell_for: MakeShell) -> Shell:
    return shell_for(daemon)


def test_i15_seven_parts_of_one_gpu_instance_promise_its_memory_to_nobody(
    launch: Shell, daemon: DaemonProcess
) -> None:
    slices = launch("slices", "-o", "json").ok().json
    assert {(s["profile"], s["memory_shared"]) for s in slices} == {(PART, True)}
    assert launch("slices").ok().text.count("81152MiB shared") == 7
    assert launch("layout", "show").ok().text.count("81152MiB shared") == 7
    for request in (["--gpu-memory", "80g"], ["--profile", "7g.80gb"]):
        asked = launch.start("run", *request, BUSYBOX, "true")
        asked.says("only a request for exactly that profile gets one")
    assert {s["state"] for s in launch("slices", "-o", "json").json} == {"free"}
    done = launch("run", "--profile", PART, BUSYBOX, "sh", "-c", "echo $LAUNCHER_PROFILE").ok()
    assert done.text == f"{PART}\n"


def test_parts_are_made_whole_and_parted_again_by_layout_apply(
    launch: Shell, daemon: DaemonProcess
) -> None:
    forecast = launch("whatif", "--layout", f"{PART}:7", "--layout", "2c.7g.80gb:3", "-o", "json")
    lanes = [len([x for x in f["lanes"] if x["uuid"] != "cpu"]) for f in forecast.ok().json]
    assert sorted(lanes) == [3, 7, 7]
    planned = launch("layout", "plan", "--exact", "7g.80gb").ok().text
    assert f"destroy  0    {PART}:7" in planned
    job = daemon.submit("true", gpus=GpuRequest(kind="memory", memory_gb=80))
    done = launch("layout", "apply", "--exact", "7g.80gb").ok()
    assert done.text == f"destroy {PART}:7@0 on GPU 0\ncreate 7g.80gb@0 on GPU 0\n"
    assert daemon.done(job).outcome == "COMPLETED"
    wait_until(lambda: launch("slices", "-o", "json").json[0]["state"] == "free", what="it is free")
    launch("layout", "apply", "--exact", "1c.7g.80gb:2", "2c.7g.80gb").ok()
    (saved,) = launch("layout", "export", "-o", "json").ok().json
    assert [(p["profile"], p["count"]) for p in saved["places"]] == [
        ("2c.7g.80gb", 1), (PART, 2),
    ]  # fmt: skip
    first, *others = launch("slices", "-o", "name").text.split()
    gone = launch("layout", "destroy", first).ok()
    assert all(uuid in gone.err for uuid in others)
    assert launch("slices", "-o", "json").ok().json == []
