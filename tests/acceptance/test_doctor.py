"""``launch doctor`` and ``--fix`` on machines that something is wrong with."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from launcher.fakegpu import Machine
from tests.acceptance.conftest import MakeShell
from tests.acceptance.shell import Ended, Shell
from tests.conftest import MakeDaemon
from tests.support.daemon import DaemonProcess
from tests.support.user import OrdinaryUser
from tests.support.wait import wait_until

SPEC = "A30:1g.6gb*2"
Check = dict[str, Any]

SMI = """\
#!{python}
import sys
from pathlib import Path
from launcher.fakegpu import Machine

machine = Path({machine!r})
if sys.argv[1:] == ["-pm", "1"]:
    Machine.open(machine).set_persistence(on=True)
elif sys.argv[1:] == ["-L"]:
    (machine / "root/dev/nvidia-caps").mkdir(parents=True, exist_ok=True)
    for line in (machine / "root/proc/driver/nvidia-caps/mig-minors").read_text().splitlines():
        (machine / "root/dev/nvidia-caps" / ("nvidia-cap" + line.split()[1])).touch()
else:
    sys.exit("unknown option")
"""
"""What nvidia-smi does for us, on the fake machine."""

CTK = """\
#!{python}
import sys
from pathlib import Path
from launcher.fakegpu import Machine

if sys.argv[1:] == ["--version"]:
    print("NVIDIA Container Toolkit CLI version {version}")
else:
    (output,) = [word for word in sys.argv if word.startswith("--output=")]
    names = Machine.open(Path({machine!r})).mig_uuids()
    rows = "".join("- name: " + name + "\\n" for name in names)
    Path(output.partition("=")[2]).write_text("kind: nvidia.com/gpu\\ndevices:\\n" + rows)
"""


@pytest.fixture
def daemon(make_daemon: MakeDaemon) -> DaemonProcess:
    return make_daemon(SPEC).start()


@pytest.fixture
def machine(daemon: DaemonProcess) -> Machine:
    return daemon.machine


@pytest.fixture
def launch(daemon: DaemonProcess, shell_for: MakeShell) -> Shell:
    return shell_for(daemon)


@pytest.fixture
def user() -> Iterator[OrdinaryUser]:
    made = OrdinaryUser()
    yield made
    made.close()


def write(machine: Machine, path: str, text: str) -> Path:
    """Put a file on the fake machine."""
    place = machine.directory / "root" / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    return place


def install(machine: Machine, name: str, script: str, **values: str) -> None:
    """Install one of NVIDIA's tools on the fake machine."""
    words = {"python": sys.executable, "machine": str(machine.directory)} | values
    write(machine, f"usr/bin/{name}", script.format(**words)).chmod(0o755)


def checks(launch: Shell, *words: str) -> dict[str, Check]:
    """The checks by their name; of several with one name the last."""
    return {check["check"]: check for check in launch("doctor", *words, "-o", "json").json}


def until(launch: Shell, name: str, holds: Callable[[Check], bool]) -> Check:
    """The check of that name once it is as it should be: NVML is read every second."""

    def look() -> Check | None:
        found = checks(launch).get(name)
        return found if found is not None and holds(found) else None

    found = wait_until(look, timeout=20, what=f"the check {name}")
    assert found is not None
    return found


def row(done: Ended, name: str) -> str:
    """A check's line of the table."""
    (line,) = [line for line in done.text.splitlines() if line.startswith(f"{name}  ")]
    return " ".join(line.split())


def test_a_machine_that_is_well_has_no_problem_and_every_check_is_made(
    launch: Shell,
) -> None:
    done = launch("doctor").ok()
    found = checks(launch)
    assert {
        *("daemon", "docker", "gpu-support", "cgroup-driver", "live-restore", "runc"),
        *("docker disk", "nvml", "driver", "gpu 0", "library", "container-toolkit"),
        *("persistence", "foreign", "disk", "clock"),
    } <= set(found)
    assert "problem" not in {check["state"] for check in found.values()}
    assert "nvidia-container-runtime-hook, requested by" in found["gpu-support"]["message"]
    assert row(done, "driver") == "driver ok driver 580.95.05 is new enough for every GPU here"


def test_the_hook_is_seen_on_dockerds_path_which_is_not_ours(launch: Shell) -> None:
    found = checks(launch)["gpu-support"]
    assert found["state"] == "ok"
    path = found["message"].removeprefix("Docker hands out GPUs by ").partition(",")[0]
    assert Path(path).parent not in map(Path, os.environ["PATH"].split(":"))
    assert os.access(path, os.X_OK)


def test_a_pending_mig_mode_is_a_warning_with_what_to_do(launch: Shell, machine: Machine) -> None:
    machine.set_mig_mode(machine.gpu_uuids()[0], on=False, pending_only=True)
    found = until(launch, "gpu 0", lambda check: check["state"] == "warning")
    assert "MIG mode is on, off pending" in found["message"]
    done = launch("doctor").ok()
    assert row(done, "gpu 0") == "gpu 0 warning NVIDIA A30: MIG mode is on, off pending"
    assert f"gpu 0: {found['fix']}" in done.err


def test_a_bare_gpu_instance_is_named_until_it_is_gone(launch: Shell, machine: Machine) -> None:
    gpu = machine.gpu_uuids()[0]
    made = machine.add_instance(gpu, "1g.6gb", bare=True)
    found = until(launch, "gpu instance", lambda check: check["state"] == "warning")
    assert f"GPU instance {made.gi} (1g.6gb@{made.start}) of GPU 0" in found["message"]
    assert f"launch layout destroy 0/{made.gi}" in found["fix"]
    assert launch("doctor").code == 0
    machine.remove_instance(gpu, made.gi)
    wait_until(lambda: "gpu instance" not in checks(launch), timeout=20)


def test_a_foreign_process_is_named_with_its_user_and_command(
    launch: Shell, machine: Machine
) -> None:
    uuid = machine.mig_uuids()[0]
    machine.add_process(uuid, os.getpid())
    found = until(launch, "foreign", lambda check: check["state"] == "warning")
    assert f"{uuid} is used by process {os.getpid()} of root (" in found["message"]
    assert launch("doctor").code == 0
    machine.remove_process(os.getpid())
    until(launch, "foreign", lambda check: check["state"] == "ok")


def test_a_driver_that_is_too_old_is_a_problem_and_the_exit_status_says_so(
    launch: Shell, machine: Machine
) -> None:
    machine.set_driver(version="460.32.03")
    found = until(launch, "driver", lambda check: check["state"] == "problem")
    assert "GPU 0 (NVIDIA A30) needs 460.73.01" in found["message"]
    done = launch("doctor")
    assert done.code == 1
    assert "driver: Upgrade the NVIDIA driver to 460.73.01 or later." in done.err
    assert launch("doctor", "-o", "json").code == 1
    assert launch("doctor", "-o", "name").code == 1


def test_a_toolkit_with_a_known_escape_is_a_problem(launch: Shell, machine: Machine) -> None:
    install(machine, "nvidia-ctk", CTK, version="1.17.7")
    done = launch("doctor")
    assert done.code == 1
    assert "container-toolkit problem nvidia-container-toolkit 1.17.7" in row(
        done, "container-toolkit"
    )
    assert "CVE-2025-23266" in done.text


def test_a_driver_without_the_question_of_persistence_leaves_it_unknown(
    launch: Shell, machine: Machine
) -> None:
    machine.absent("nvmlDeviceGetPersistenceMode")
    found = checks(launch)["persistence"]
    assert (found["state"], found["fix"]) == ("ok", None)
    assert "unknown" in found["message"]


def test_fix_switches_persistence_mode_on_and_says_so(launch: Shell, machine: Machine) -> None:
    machine.set_persistence(on=False)
    install(machine, "nvidia-smi", SMI)
    before = launch("doctor").ok()
    assert "persistence warning persistence mode is off on GPU 0:" in row(before, "persistence")
    assert "persistence: Run `nvidia-smi -pm 1`" in before.err
    done = launch("doctor", "--fix").ok()
    assert row(done, "fix") == "fix ok ran `nvidia-smi -pm 1`"
    assert row(done, "persistence") == "persistence ok persistence mode is on"
    again = checks(launch, "--fix")["fix"]
    assert again["message"] == "nothing needs an automatic repair"


def test_fix_makes_missing_device_nodes(launch: Shell, machine: Machine) -> None:
    install(machine, "nvidia-smi", SMI)
    lines = []
    for number, instance in enumerate(machine.instances()):
        lines += [f"gpu0/gi{instance.gi}/access {30 + 2 * number}"]
        lines += [f"gpu0/gi{instance.gi}/ci0/access {31 + 2 * number}"]
    write(machine, "proc/driver/nvidia-caps/mig-minors", "\n".join(lines) + "\n")
    found = checks(launch)["device nodes"]
    assert found["state"] == "warning"
    assert machine.mig_uuids()[0] in found["message"]
    mended = checks(launch, "--fix")
    assert mended["fix"]["message"] == "ran `nvidia-smi -L`"
    assert mended["device nodes"]["state"] == "ok"


def test_fix_writes_an_old_cdi_spec_anew_and_makes_none_where_there_is_none(
    launch: Shell, machine: Machine
) -> None:
    install(machine, "nvidia-ctk", CTK, version="1.20.0")
    assert "cdi" not in checks(launch, "--fix")
    old = {"kind": "nvidia.com/gpu", "devices": [{"name": "MIG-gone"}, {"name": "all"}]}
    path = write(machine, "var/run/cdi/nvidia.yaml", yaml.safe_dump(old))
    found = checks(launch)["cdi"]
    assert found["state"] == "warning"
    assert "names MIG-gone, which does not exist now" in found["message"]
    mended = checks(launch, "--fix")
    assert mended["fix"]["message"] == f"ran `nvidia-ctk cdi generate --output={path}`"
    assert mended["cdi"]["state"] == "ok"
    names = [device["name"] for device in yaml.safe_load(path.read_text())["devices"]]
    assert names == machine.mig_uuids()


def test_fix_that_does_not_succeed_is_a_problem_with_the_command_to_run(
    launch: Shell, machine: Machine
) -> None:
    machine.set_persistence(on=False)
    done = launch("doctor", "--fix")
    assert done.code == 1
    assert "fix problem cannot run `nvidia-smi -pm 1`: nvidia-smi is not installed" in row(
        done, "fix"
    )
    assert "fix: Run it yourself, as root: `nvidia-smi -pm 1`." in done.err
    install(machine, "nvidia-smi", "#!/bin/sh\necho 'Insufficient Permissions' >&2; exit 4\n")
    failed = checks(launch, "--fix")["fix"]
    assert failed["message"] == "`nvidia-smi -pm 1` failed: Insufficient Permissions"


def test_fix_leaves_what_is_not_harmless_and_prints_what_to_do(
    launch: Shell, machine: Machine
) -> None:
    gpu = machine.gpu_uuids()[0]
    made = machine.add_instance(gpu, "1g.6gb", bare=True)
    until(launch, "gpu instance", lambda check: check["state"] == "warning")
    done = launch("doctor", "--fix").ok()
    assert "gpu instance: `nvidia-smi mig -cci" in done.err
    assert made.gi in [instance.gi for instance in machine.instances()]


def test_nothing_is_mended_while_the_layout_is_changed(launch: Shell, machine: Machine) -> None:
    machine.hang("nvmlDeviceCreateGpuInstanceWithPlacement", 60)
    changing = launch.start("layout", "create", "1g.6gb", "--gpu", "0")
    called = "nvmlDeviceCreateGpuInstanceWithPlacement"
    wait_until(lambda: machine.calls(called), timeout=20, what="the change is under way")
    refused = launch("doctor", "--fix")
    assert (refused.code, refused.out) == (3, b"")
    assert "layout change 1 is under way" in refused.err
    assert "gpu instance" not in checks(launch)
    machine.clear_faults()
    assert changing.end().code == 0
    assert launch("doctor", "--fix").code == 0


def test_everybody_may_ask_the_doctor_but_only_an_admin_may_have_it_mend(
    daemon: DaemonProcess, user: OrdinaryUser
) -> None:
    install(daemon.machine, "nvidia-smi", SMI)
    daemon.machine.set_persistence(on=False)
    environment = user.environment | {"LAUNCHER_SOCKET": str(daemon.socket)}
    launch = Shell(environment | {"LAUNCHER_AUTOSTART": "0"}, user.home, user.command())
    assert checks(launch)["persistence"]["state"] == "warning"
    refused = launch("doctor", "--fix")
    assert (refused.code, refused.out) == (1, b"")
    assert "admin" in refused.err
    assert checks(launch)["persistence"]["state"] == "warning"
