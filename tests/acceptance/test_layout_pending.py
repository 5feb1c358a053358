"""A MIG mode that takes effect after a reboot: exit statuses, the reboot, and saved layouts."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.acceptance.conftest import MakeShell
from tests.acceptance.shell import Shell
from tests.conftest import MakeDaemon
from tests.support.daemon import DaemonProcess

MIG_PARTED = """\
version: v1
mig-configs:
  two:
  - devices: all
    mig-enabled: true
    mig-devices: {2g.12gb: 2}
"""


class Vm:
    """A machine whose GPU cannot be reset, with a daemon that starts at each boot."""

    def __init__(self, daemon: DaemonProcess, boot: Path) -> None:
        self.daemon, self.boot, self.boots = daemon, boot, 0
        daemon.extra["LAUNCHER_BOOT_ID_FILE"] = str(boot)
        boot.write_text("0\n")
        gpu = daemon.machine.gpu_uuids()[0]
        daemon.machine.set_reset_works(gpu, works=False)
        daemon.start()

    def reboot(self) -> None:
        self.daemon.stop()
        self.daemon.machine.reboot()
        self.boots += 1
        self.boot.write_text(f"{self.boots}\n")
        self.daemon.start()

    def standing(self) -> list[tuple[str, int]]:
        return sorted((i.profile, i.start) for i in self.daemon.machine.instances())


@pytest.fixture
def vm(make_daemon: MakeDaemon, tmp_path: Path) -> Vm:
    return Vm(make_daemon("A30"), tmp_path / "boot_id")


@pytest.fixture
def launch(vm: Vm, shell_for: MakeShell) -> Shell:
    return shell_for(vm.daemon)


def test_enable_is_done_with_exit_4_and_the_mode_is_on_after_the_reboot(
    vm: Vm, launch: Shell
) -> None:
    done = launch("layout", "enable")
    assert done.code == 4, done.err
    assert "MIG mode on of GPU 0 takes effect after a reboot" in done.err
    assert "then run `launch layout changes`" in done.err
    (change,) = launch("layout", "changes", "-o", "json").ok().json
    assert (change["state"], change["result"]) == ("pending", None)
    vm.reboot()
    (change, *_) = launch("layout", "changes", "-o", "json").ok().json
    assert (change["state"], change["result"]) == ("done", "applied")
    launch("layout", "apply", "1g.6gb:4").ok()


def test_a_file_that_switches_the_mode_is_completed_after_the_reboot(
    vm: Vm, launch: Shell, tmp_path: Path
) -> None:
    file = tmp_path / "mig.yaml"
    file.write_text(MIG_PARTED)
    assert launch("layout", "apply", "-f", str(file)).code == 4
    vm.reboot()
    assert vm.standing() == [("2g.12gb", 0), ("2g.12gb", 2)]


def test_clear_with_mode_off_lets_poweroff_go_on(vm: Vm, launch: Shell) -> None:
    launch("layout", "enable")
    vm.reboot()
    launch("layout", "apply", "1g.6gb:2").ok()
    done = launch("layout", "clear", "--mode-off")
    assert (done.code, vm.standing()) == (0, []), done.err
    assert "MIG mode off of GPU 0 takes effect after a reboot" in done.err
    vm.reboot()
    (gpu,) = launch("layout", "show", "-o", "json").ok().json
    assert (gpu["mig_current"], gpu["mig_pending"]) == (False, False)


def test_a_layout_saved_while_the_mode_is_pending_does_not_undo_it_at_the_next_boots(
    vm: Vm, launch: Shell
) -> None:
    launch("layout", "enable")
    assert "GPU 0: no slices" in launch("layout", "save").ok().err
    for _ in range(2):
        vm.reboot()
        (gpu,) = launch("layout", "show", "-o", "json").ok().json
        assert gpu["mig_current"] is True


def test_no_slice_is_made_where_mig_mode_is_about_to_go_off(vm: Vm, launch: Shell) -> None:
    launch("layout", "enable")
    vm.reboot()
    assert launch("layout", "disable").code == 4
    refused = launch("layout", "apply", "1g.6gb:2")
    assert (refused.code, vm.standing()) == (2, []), refused.err
    assert "new slices would be lost" in refused.err
    launch("layout", "enable", "--gpu", "0").ok()
    launch("layout", "apply", "1g.6gb:2").ok()


def test_a_client_that_waits_on_for_a_pending_change_is_answered_after_a_pause(
    vm: Vm, launch: Shell
) -> None:
    launch("layout", "enable")
    since = time.monotonic()
    assert vm.daemon.client.layout.wait(1).state == "pending"
    assert time.monotonic() - since >= 1


def test_doctor_names_the_change_that_the_reboot_completes(vm: Vm, launch: Shell) -> None:
    launch("layout", "enable")
    fixes = [check["fix"] or "" for check in launch("doctor", "-o", "json").json]
    assert any("then completes layout change 1 by itself" in fix for fix in fixes)


def test_a_pending_change_comes_before_the_saved_layout(vm: Vm, launch: Shell) -> None:
    launch("layout", "save").ok()  # MIG mode is off
    assert launch("layout", "enable").code == 4
    vm.reboot()
    (gpu,) = launch("layout", "show", "-o", "json").ok().json
    assert gpu["mig_current"] is True, "the saved layout has it off"


def test_several_layouts_are_saved_by_name_and_restored(
    make_daemon: MakeDaemon, shell_for: MakeShell
) -> None:
    daemon = make_daemon("A30:1g.6gb*4").start()
    launch = shell_for(daemon)
    launch("layout", "save", "small").ok()
    launch("layout", "apply", "--exact", "2g.12gb:2").ok()
    launch("layout", "save", "large").ok()
    assert launch("layout", "save", "--list", "-o", "name").ok().text.split() == ["large", "small"]
    refused = launch("layout", "restore", "small")
    assert (refused.code, "beside the present instances" in refused.err) == (2, True), refused.err
    assert "With --exact, all other instances are removed" in refused.err
    launch("layout", "restore", "small", "--exact").ok()
    assert [i.profile for i in daemon.machine.instances()] == ["1g.6gb"] * 4
    launch("layout", "save", "small", "--delete").ok()
    gone = launch("layout", "restore", "small")
    assert (gone.code, "Saved: large" in gone.err) == (1, True)
    assert launch("layout", "save", "Not a name").code == 2
