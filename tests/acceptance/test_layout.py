"""``launch layout``, ``drain``, ``undrain``: the installed command on a daemon and a fake A30."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.acceptance.conftest import MakeShell
from tests.acceptance.shell import Shell
from tests.conftest import MakeDaemon
from tests.support.daemon import BUSYBOX, DaemonProcess
from tests.support.wait import wait_until

GPU_KEYS = {"index", "uuid", "name", "architecture", "mig_current", "mig_pending", "memory_mib",
            "instances", "units", "instances_known"}  # fmt: skip
INSTANCE_KEYS = {"gi", "profile", "profile_id", "start", "size", "ci", "uuid", "memory_mib",
                 "state", "job", "user", "why", "made_by", "memory_shared", "array"}  # fmt: skip


@pytest.fixture
def daemon(make_daemon: MakeDaemon) -> DaemonProcess:
    return make_daemon("A30:1g.6gb*4").start()


@pytest.fixture
def launch(daemon: DaemonProcess, shell_for: MakeShell) -> Shell:
    return shell_for(daemon)


def standing(launch: Shell) -> list[tuple[str, int]]:
    """(profile, start) of what `layout show` shows on the first GPU."""
    (gpu, *_) = launch("layout", "show", "-o", "json").ok().json
    return [(i["profile"], i["start"]) for i in gpu["instances"]]


def test_what_stands_is_shown_with_a_picture_and_as_json(launch: Shell) -> None:
    shown = launch("layout", "show").ok().text
    assert " |  1g.6gb |  1g.6gb |  1g.6gb |  1g.6gb |\n" in shown
    assert "NVIDIA A30, 24576 MiB, ampere" in shown
    (gpu,) = launch("layout", "show", "-o", "json").ok().json
    assert set(gpu) == GPU_KEYS
    assert set(gpu["instances"][0]) == INSTANCE_KEYS
    names = launch("layout", "show", "-o", "name").ok().text.split()
    assert names == launch("slices", "-o", "name").ok().text.split()


def test_a_bare_instance_is_shown_as_one_and_completed(
    launch: Shell, daemon: DaemonProcess
) -> None:
    launch("layout", "clear").ok()
    gpu = daemon.machine.gpu_uuids()[0]
    daemon.machine.add_instance(gpu, "2g.12gb", 2, bare=True)
    wait_until(lambda: "2g.12gb?" in launch("layout", "show").text, what="it is seen")
    (found,) = launch("layout", "show", "-o", "json").json[0]["instances"]
    assert (found["ci"], found["uuid"], found["state"]) == (None, None, "bare")
    assert "·········" in launch("layout", "show").text, "free units are drawn"
    done = launch("layout", "apply", "2g.12gb").ok()
    assert done.text == "complete 2g.12gb@2 on GPU 0\n"


def test_profiles_say_what_the_board_offers_and_what_fits_now(launch: Shell) -> None:
    launch("layout", "destroy", launch("slices", "-o", "name").text.split()[3]).ok()
    rows = launch("layout", "profiles", "--gpu", "0", "-o", "json").ok().json
    one = next(row for row in rows if row["name"] == "1g.6gb")
    assert (one["profile_id"], one["multiprocessors"], one["placements"]) == (14, 14, [0, 1, 2, 3])
    assert (one["most"], one["fit"]) == (4, 1)
    assert next(row for row in rows if row["name"] == "4g.24gb")["fit"] == 0


def test_a_plan_changes_nothing_and_apply_does_what_it_said(launch: Shell) -> None:
    before = standing(launch)
    plan = launch("layout", "plan", "--exact", "1g.6gb:2", "2g.12gb@2", "-o", "json").ok().json
    parts = {part: [(v["profile"], v["start"]) for v in plan[part]]
             for part in ("keep", "destroy", "create")}  # fmt: skip
    assert parts == {
        "keep": [("1g.6gb", 0), ("1g.6gb", 1)],
        "destroy": [("1g.6gb", 2), ("1g.6gb", 3)],
        "create": [("2g.12gb", 2)],
    }
    assert plan["touches_busy"] is False
    assert standing(launch) == before
    done = launch("layout", "apply", "--exact", "--gpu", "0", "1g.6gb:2", "2g.12gb@2").ok()
    assert "applied and verified" in done.err
    assert standing(launch) == [("1g.6gb", 0), ("1g.6gb", 1), ("2g.12gb", 2)]
    again = launch("layout", "apply", "--exact", "--gpu", "0", "1g.6gb:2", "2g.12gb@2").ok()
    assert (again.out, again.err) == (b"", "nothing to change\n")
    assert launch("slices", "-o", "json").json[2]["made_by"] == "launcher"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["4g.24gb"], ["beside the present instances", "--exact"]),
        (["--exact", "4g.24gb", "1g.6gb"], ["do not fit together", "4g.24gb"]),
        (["1g.5gb"], ["no profile '1g.5gb'", "1g.6gb"]),
        (["2g.12gb@1"], ["does not fit at 1", "0, 2"]),
        (["1g.6gb:2@0"], ["one place"]),
        (["--gpu", "7", "1g.6gb"], ["GPU 7 does not exist", "0 (GPU-"]),
        (["1g"], ["not a valid layout SPEC"]),
        ([], ["SPECs or -f"]),
    ],
)
def test_what_cannot_be_is_2_with_what_can_and_nothing_is_changed(
    launch: Shell, words: list[str], said: list[str]
) -> None:
    before = standing(launch)
    done = launch("layout", "apply", *words)
    assert (done.code, done.out) == (2, b"")
    assert all(text in done.err for text in said), done.err
    assert standing(launch) == before


def test_a_slice_with_a_job_is_not_touched_unless_waited_for(
    launch: Shell, daemon: DaemonProcess
) -> None:
    job = daemon.submit("sleep", "60")
    daemon.until(job, "RUNNING")
    refused = launch("layout", "clear")
    assert refused.code == 1
    assert f"is used by job {job.id}" in refused.err
    assert "--wait" in refused.err
    waiting = launch.start("layout", "clear", "--wait")
    waiting.says("waits until what is in the way is free")
    assert {s["state"] for s in launch("slices", "-o", "json").json} == {"leased", "drained"}
    late = daemon.submit("true")
    assert "is part of layout change" in launch("show", str(late.id)).ok().text
    launch("cancel", str(job.id)).ok()
    assert waiting.end().ok().text.count("destroy") == 4
    launch("layout", "apply", "1g.6gb").ok()
    assert daemon.done(late).outcome == "COMPLETED", "it runs as soon as there is a slice again"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_give_up_a_change_that_waits(
    launch: Shell, daemon: DaemonProcess, number: signal.Signals
) -> None:
    job = daemon.submit("sleep", "60")
    daemon.until(job, "RUNNING")
    waiting = launch.start("layout", "clear", "--wait")
    waiting.says("waits until")
    waiting.process.send_signal(number)
    ended = waiting.end()
    assert ended.code == 1
    assert "cancelled before anything was changed" in ended.err
    assert len(standing(launch)) == 4
    assert {s["state"] for s in launch("slices", "-o", "json").json} == {"leased", "free"}


def test_a_change_that_waits_names_whom_it_waits_for_and_another_terminal_can_give_it_up(
    launch: Shell, daemon: DaemonProcess
) -> None:
    job = daemon.submit("sleep", "60")
    daemon.until(job, "RUNNING")
    waiting = launch.start("layout", "clear", "--wait")
    waiting.says(f"is used by job {job.id}")
    number = launch("layout", "changes", "-o", "json").ok().json[0]["id"]
    assert (
        "cancelled before anything was changed" in launch("layout", "cancel", str(number)).ok().err
    )
    assert waiting.end().code == 1
    assert "is over" in launch("layout", "cancel", str(number)).err
    assert "layout change 99 does not exist" in launch("layout", "cancel", "99").err


def test_a_drain_of_a_slice_that_is_gone_can_be_ended(launch: Shell, daemon: DaemonProcess) -> None:
    gone = launch("slices", "-o", "name").text.split()[0]
    launch("drain", gone).ok()
    launch("layout", "destroy", gone).ok()
    launch("undrain", gone).ok()
    refused = launch("undrain", gone)
    assert refused.code == 2
    assert f"there is no slice or GPU {gone}" in refused.err


def test_jobs_in_the_way_are_cancelled_if_told_so(launch: Shell, daemon: DaemonProcess) -> None:
    job = daemon.submit("sleep", "60")
    daemon.until(job, "RUNNING")
    launch("layout", "clear", "--cancel-jobs", "--mode-off").ok()
    assert daemon.done(job).outcome == "CANCELLED"
    assert daemon.machine.mig_mode(daemon.machine.gpu_uuids()[0]) == (False, False)


def test_a_mig_parted_file_is_read_as_it_is_and_written_back(launch: Shell, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        'version: v1\nmig-configs:\n  all-balanced:\n  - device-filter: ["0x20B710DE"]\n'
        "    devices: all\n    mig-enabled: true\n    mig-devices:\n"
        '      "1g.6gb": 2\n      "2g.12gb": 1\n  off:\n  - devices: [0]\n    mig-enabled: false\n'
    )
    launch("layout", "apply", "-f", str(file), "--config", "all-balanced", "--exact").ok()
    assert sorted(p for p, _ in standing(launch)) == ["1g.6gb", "1g.6gb", "2g.12gb"]
    exported = launch("layout", "export", "--name", "mine").ok().text
    launch("layout", "apply", "-f", str(file), "--config", "off").ok()
    assert launch("layout", "show", "-o", "json").json[0]["mig_current"] is False
    file.write_text(exported)
    launch("layout", "apply", "-f", str(file)).ok()
    assert sorted(p for p, _ in standing(launch)) == ["1g.6gb", "1g.6gb", "2g.12gb"]
    file.write_text("version: v1\nmig-configs:\n  a:\n  - devices: all\n    mig-enable: true\n")
    wrong = launch("layout", "apply", "-f", str(file))
    assert wrong.code == 2
    assert f"{file}:5:5" in wrong.err
    assert "mig-enabled" in wrong.err


def test_every_change_is_on_record_with_who_and_what_came_of_it(launch: Shell) -> None:
    launch("layout", "clear").ok()
    launch("layout", "apply", "1g.6gb").ok()
    launch("drain", "0", "--reason", "fan").ok()
    launch("layout", "save").ok()
    *later, _, _ = rows = launch("layout", "changes", "-o", "json").ok().json
    assert [(r["verb"], r["request"].partition(": ")[2]) for r in later] == [
        ("save", ""),
        ("drain", "fan"),
    ]
    rows = rows[2:]
    assert [(r["verb"], r["request"], r["user"], r["result"]) for r in rows] == [
        ("apply", "1g.6gb", "root", "applied"),
        ("clear", "", "root", "applied"),
    ]
    assert "create 1g.6gb@0 on GPU 0" in rows[0]["done"]


def test_only_admins_change_the_layout_and_everybody_may_look(
    launch: Shell, daemon: DaemonProcess
) -> None:
    from launcher.errors import NotAllowed
    from launcher.wire import LayoutEntry, LayoutRequest
    from tests.support.daemon import as_user

    wanted = LayoutRequest(verb="clear", request="", entries=[LayoutEntry(specs=[], exact=True)])
    with as_user(65534):
        assert len(daemon.client.layout.show()) == 1
        assert daemon.client.layout.plan(wanted).destroy
        for change in (
            lambda: daemon.client.layout.change(wanted),
            lambda: daemon.client.layout.drain("0", "mine"),
            daemon.client.layout.save,
        ):
            with pytest.raises(NotAllowed, match="not an admin"):
                change()
    assert len(standing(launch)) == 4


def test_what_others_change_is_followed_without_a_restart(
    launch: Shell, daemon: DaemonProcess
) -> None:
    machine, gpu = daemon.machine, daemon.machine.gpu_uuids()[0]
    machine.remove_instance(gpu, machine.instances()[0].gi)
    wait_until(lambda: len(launch("slices", "-o", "name").text.split()) == 3, 10, "it is lost")
    machine.add_instance(gpu, "1g.6gb", 0)
    wait_until(lambda: len(launch("slices", "-o", "name").text.split()) == 4, 10, "it is there")
    job = daemon.submit("true")
    assert daemon.done(job).outcome == "COMPLETED"


def test_a_drained_slice_and_gpu_take_no_new_job_also_after_a_restart(
    launch: Shell, daemon: DaemonProcess
) -> None:
    first = launch("slices", "-o", "name").text.split()[0]
    shown = launch("drain", first, "--reason", "bad fan").ok().text
    assert "drained" in shown
    assert "bad fan" in shown
    waits = daemon.submit("true", gpus=_by_uuid(first))
    runs = daemon.submit("true")
    assert daemon.done(runs).slices != [first]
    assert "SliceDrained" in launch("ps").ok().text
    assert "is drained: bad fan" in launch("show", str(waits.id)).ok().text
    launch("drain", "0").ok()
    daemon.stop()
    daemon.start()
    assert {s["state"] for s in launch("slices", "-o", "json").json} == {"drained"}
    launch("undrain", "0").ok()
    launch("undrain", first).ok()
    assert daemon.done(waits).outcome == "COMPLETED"
    assert launch("drain", "GPU-nobody").code == 2


def _by_uuid(uuid: str) -> object:
    from launcher.wire import GpuRequest

    return GpuRequest(kind="uuid", uuids=(uuid,))


def test_a_job_runs_on_a_slice_that_was_just_cut(launch: Shell) -> None:
    launch("layout", "apply", "--exact", "2g.12gb:2").ok()
    done = launch("run", "--profile", "2g.12gb", BUSYBOX, "sh", "-c", "echo $LAUNCHER_PROFILE").ok()
    assert done.text == "2g.12gb\n"


def test_where_nvml_hides_the_instances_show_says_so_and_draws_no_empty_gpu(
    make_daemon: MakeDaemon, shell_for: MakeShell
) -> None:
    daemon = make_daemon("A30:1g.6gb*2")
    daemon.machine.fail("nvmlDeviceGetGpuInstances", "NO_PERMISSION", times=None)
    launch = shell_for(daemon.start())
    shown = launch("layout", "show").ok().text
    assert "NVML does not tell what stands here" in shown
    assert "|" not in shown
    assert launch("layout", "show", "-o", "json").ok().json[0]["instances_known"] is False
    assert len(launch("slices", "-o", "name").ok().text.split()) == 2
    refused = launch("layout", "apply", "1g.6gb:4")
    assert refused.code == 2
    assert "does not report its GPU instances" in refused.err
