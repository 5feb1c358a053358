"""What doctor says of Docker: from its own answers, and from its process."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import pytest

from launcher.daemon.doctor import docker, escapes
from launcher.daemon.doctor.dockerd import HOOK, HookBinary, hook_of, path_of
from tests.unit.daemon.doctor.machine import host, tool

VERSION = {"Version": "28.5.2", "ApiVersion": "1.51", "Components": []}
FOUND = HookBinary("/usr/bin/" + HOOK, certain=True)
CDI = {"DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=MIG-1"}]}
CTK = "NVIDIA Container Toolkit CLI version {}\ncommit: f202b80a9b9d0db00d9b1d73c0128c8962c55f4d"
RUNTIME = "NVIDIA Container Runtime version {}\ncommit: f202b80\nspec: 1.2.1\n\nrunc version 1.2.5"


def test_docker_is_named_with_its_version_and_socket() -> None:
    found = docker.reachable("unix:///x.sock", VERSION)
    assert (found.state, found.message) == ("ok", "Docker 28.5.2 at unix:///x.sock")


def test_a_docker_whose_api_is_too_old_is_a_problem() -> None:
    found = docker.reachable("unix:///x", {"Version": "19.03.15", "ApiVersion": "1.40"})
    assert (found.state, "API 1.40" in found.message) == ("problem", True)
    assert "20.10" in (found.fix or "")


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("28.5.2", "requested by capability"),
        ("29.2.0", "requested as driver nvidia.runtime-hook"),
    ],
)
def test_the_way_to_the_gpu_and_the_name_it_is_asked_by_are_said(version: str, words: str) -> None:
    found = docker.gpu_support({"Version": version}, {}, None, FOUND)
    assert found.state == "ok"
    assert FOUND.path is not None
    assert FOUND.path in found.message
    assert words in found.message


def test_a_hook_that_is_not_on_dockerds_path_is_a_problem_even_with_cdi() -> None:
    found = docker.gpu_support(VERSION, CDI, None, HookBinary(None, certain=True))
    assert found.state == "problem"
    assert "not find nvidia-container-runtime-hook on its PATH" in found.message
    assert "1 CDI device(s), which jobs do not use" in found.message
    assert "restart Docker" in (found.fix or "")


def test_where_dockerds_path_is_hidden_other_ways_are_taken_as_a_good_sign() -> None:
    hidden = HookBinary(None, certain=False)
    found = docker.gpu_support(VERSION, {"Runtimes": {"nvidia": {}}}, None, hidden)
    assert (found.state, "unknown whether" in found.message) == ("ok", True)
    assert docker.gpu_support(VERSION, {"Runtimes": {"runc": {}}}, None, hidden).state == "warning"


def test_a_job_that_docker_refused_a_gpu_is_what_counts() -> None:
    found = docker.gpu_support(VERSION, {}, "could not select device driver", FOUND)
    assert (found.state, found.message) == ("problem", "could not select device driver")
    assert "nvidia-smi" in (found.fix or "")
    found = docker.gpu_support(VERSION, {}, "install nvidia-container-toolkit", FOUND)
    assert "Install nvidia-container-toolkit" in (found.fix or "")


@pytest.mark.parametrize(("driver", "state"), [("systemd", "warning"), ("cgroupfs", "ok")])
def test_the_systemd_cgroup_driver_takes_gpus_away(driver: str, state: str) -> None:
    (found,) = docker.cgroup_driver({"CgroupDriver": driver})
    assert found.state == state
    assert "daemon-reload" in found.message


@pytest.mark.parametrize(("on", "state"), [(True, "ok"), (False, "warning")])
def test_live_restore_is_on_or_a_warning(on: bool, state: str) -> None:
    assert docker.live_restore({"LiveRestoreEnabled": on}).state == state


# dockerd's process


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc with this very process as dockerd, and another one's processes."""
    place = tmp_path / "proc"
    a_process(place, os.getpid(), "dockerd", b"HOME=/\0PATH=/opt/bin:/bin\0")
    a_process(place, 2**22 + 1, "bash", b"PATH=/elsewhere\0")
    (place / "version").write_text("Linux")
    return place


def a_process(proc: Path, pid: int, name: str, environ: bytes) -> None:
    entry = proc / str(pid)
    entry.mkdir(parents=True)
    (entry / "comm").write_text(f"{name}\n")
    (entry / "environ").write_bytes(environ)
    (entry / "root").symlink_to("/")


def test_the_hook_is_looked_for_on_dockerds_path_not_on_ours(
    proc: Path, tmp_path: Path, listening: str
) -> None:
    theirs, ours = host(tmp_path / "theirs"), host(tmp_path / "ours")
    tool(ours, HOOK, "exit 0")
    environ = proc / str(os.getpid()) / "environ"
    environ.write_bytes(os.fsencode(f"PATH={theirs.folders}") + b"\0")
    assert hook_of(listening, proc, ours.folders) == HookBinary(None, certain=True)
    tool(theirs, HOOK, "exit 0")
    found = hook_of(listening, proc, ours.folders)
    assert found == HookBinary(f"{theirs.folders}/{HOOK}", certain=True)


def test_the_hook_is_looked_for_below_dockerds_own_root(
    proc: Path, tmp_path: Path, listening: str
) -> None:
    """A daemon in a container sees the host's files there; links lead nowhere in the container."""
    root = tmp_path / "host"
    (root / "opt/bin").mkdir(parents=True)
    (root / "opt/bin" / HOOK).symlink_to("/opt/bin/nvidia-container-toolkit")
    place = proc / str(os.getpid()) / "root"
    place.unlink()
    place.symlink_to(root)
    assert hook_of(listening, proc, "") == HookBinary(f"/opt/bin/{HOOK}", certain=True)
    place.unlink()
    assert hook_of(listening, proc, "") == HookBinary(None, certain=False)


def test_where_dockerds_path_cannot_be_read_the_usual_folders_are_looked_at(
    tmp_path: Path,
) -> None:
    ours = host(tmp_path / "ours")
    tool(ours, HOOK, "exit 0")
    (tmp_path / "proc").mkdir()
    found = hook_of("unix:///nowhere", tmp_path / "proc", ours.folders)
    assert found == HookBinary(f"{ours.folders}/{HOOK}", certain=False)


def test_a_process_without_a_path_has_an_empty_one(proc: Path) -> None:
    assert path_of(os.getpid(), proc) == "/opt/bin:/bin"
    (proc / str(os.getpid()) / "environ").write_bytes(b"XPATH=/bin\0")
    assert path_of(os.getpid(), proc) == ""
    assert path_of(2**22 + 3, proc) is None


# the toolkit and runc


@pytest.mark.parametrize(
    ("version", "state"), [("1.17.7", "problem"), ("1.17.8", "warning"), ("1.20.0", "ok")]
)
def test_a_toolkit_is_held_against_the_known_escapes(
    tmp_path: Path, version: str, state: str
) -> None:
    machine = host(tmp_path)
    tool(machine, "nvidia-ctk", f"echo '{CTK.format(version)}'")
    found = escapes.toolkit(machine)
    assert (found.check, found.state) == ("container-toolkit", state)
    assert version in found.message
    assert ("CVE-2025-23266" in found.message) is (version == "1.17.7")


def test_without_nvidia_ctk_the_runtime_tells_the_toolkits_version_and_not_runcs(
    tmp_path: Path,
) -> None:
    machine = host(tmp_path)
    tool(machine, "nvidia-ctk", "exit 1")
    tool(machine, "nvidia-container-runtime", f"echo '{RUNTIME.format('1.16.2')}'")
    assert escapes.toolkit_version(machine) == "1.16.2"


def test_a_toolkit_that_is_not_there_or_says_something_else_is_unknown(tmp_path: Path) -> None:
    machine = host(tmp_path)
    assert escapes.toolkit(machine).state == "ok"
    tool(machine, "nvidia-ctk", "echo hello")
    assert "unknown" in escapes.toolkit(machine).message


def with_runc(version: str) -> dict[str, Any]:
    return {"Components": [{"Name": "containerd", "Version": "2.1"}, {"Name": "runc",
            "Version": version}]}  # fmt: skip


@pytest.mark.parametrize(("version", "state"), [("1.1.5+ds1", "warning"), ("1.3.3", "ok")])
def test_the_runc_that_docker_uses_is_held_against_the_known_escapes(
    tmp_path: Path, version: str, state: str
) -> None:
    machine = host(tmp_path)
    tool(machine, "runc", "echo runc version 0.1")
    found = escapes.runc(with_runc(version), machine)
    assert (found.state, version in found.message) == (state, True)


@pytest.mark.parametrize(
    ("version", "commit", "keeps"),
    [
        ("1.1.5+ds1", "", False),
        ("1.1.5+ds1", "1.1.5+ds1-1", False),
        ("1.1.5+ds1", "1.1.5+ds1-1+deb12u1", True),
        ("1.1.11", "v1.1.11-0-g4bccb38", False),
        ("1.1.12", "v1.1.12-0-g51d5e94", True),
        ("1.3.0", "", True),
        ("N/A", "1.1.5+ds1-1+deb12u1", False),
    ],
)
def test_a_runc_that_lets_a_working_directory_lead_out_is_told_from_a_mended_one(
    tmp_path: Path, version: str, commit: str, keeps: bool
) -> None:
    told = with_runc(version)
    told["Components"][1]["Details"] = {"GitCommit": commit}
    assert escapes.keeps_working_dir(told, host(tmp_path)) is keeps


CHANGELOG = """\
runc (1.1.15+ds1-2+deb13u3) trixie-security; urgency=high

  * Backport the fixes of CVE-2025-31133, CVE-2025-52565 and CVE-2025-52881

 -- Somebody <a@example.org>  Fri, 02 Jan 2026 21:53:05 +0800
"""


@pytest.mark.parametrize(
    ("version", "changelog", "state", "text"),
    [
        ("1.1.15+ds1", CHANGELOG, "ok", "runc 1.1.15+ds1-2+deb13u3 has no known"),
        ("1.1.15+ds1", CHANGELOG.replace("CVE-2025-52881", "it"), "warning", "(CVE-2025-52881)"),
        ("1.1.14", CHANGELOG, "warning", "unless your distribution has fixed them"),
        ("1.1.15+ds1", "", "warning", "unless your distribution has fixed them"),
    ],
)
def test_what_a_distribution_has_fixed_is_read_from_its_packages_changelog(
    tmp_path: Path, version: str, changelog: str, state: str, text: str
) -> None:
    machine = host(tmp_path)
    path = machine.file("/usr/share/doc/runc/changelog.Debian.gz")
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(changelog.encode()) if changelog else b"not gzip")
    found = escapes.runc(with_runc(version), machine)
    assert (found.state, text in found.message) == (state, True), found.message


@pytest.mark.parametrize("told", [{}, {"Components": None}, with_runc("N/A")])
def test_where_docker_does_not_tell_its_runc_the_one_on_the_path_is_asked(
    tmp_path: Path, told: dict[str, Any]
) -> None:
    machine = host(tmp_path)
    assert "unknown" in escapes.runc(told, machine).message
    tool(machine, "runc", "echo runc version 1.2.8; echo commit: v1.2.8")
    assert escapes.runc_version(told, machine) == "1.2.8"


def test_limits_that_the_kernel_cannot_keep_are_told() -> None:
    assert list(docker.limits({"MemoryLimit": True, "SwapLimit": True, "PidsLimit": True})) == []
    (found,) = docker.limits({"MemoryLimit": False, "SwapLimit": False, "PidsLimit": True})
    assert found.state == "warning"
    assert "limit the memory and the swap of a container" in found.message
