"""Totals of cgroups, as both versions of the kernel's interface tell them."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.host import cgroup_usage
from launcher.host.cgroup import paths_of_container
from launcher.host.cgroup_usage import MOST_BYTES, NO_USAGE, CgroupUsage, UsageFiles

V1 = """7:blkio:/docker/a
4:memory:/docker/a
2:cpu,cpuacct:/docker/a
1:name=systemd:/docker/a
0::/docker/a
"""
V2 = "0::/system.slice/docker-a.scope\n"
EXITING = """7:blkio:/
4:memory:/
2:cpu,cpuacct:/
1:name=systemd:/
0::/docker/a
"""


def files_of(groups: str, root: Path) -> UsageFiles:
    return UsageFiles.of_paths(paths_of_container("a", groups), root)


def with_files(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def version_1(root: Path) -> None:
    with_files(root / "memory/docker/a", memory__max_usage_in_bytes="1048576\n")
    with_files(root / "cpuacct/docker/a", cpuacct__usage="2500000000\n")
    io = "8:0 Read 4096\n8:0 Write 100\n8:0 Discard 7\n8:0 Total 4196\n8:16 Write 1\nTotal 4197\n"
    name = "blkio.throttle.io_service_bytes_recursive"
    (with_files(root / "blkio/docker/a") / name).write_text(io)


def version_2(root: Path, **files: str) -> Path:
    return with_files(
        root / "system.slice/docker-a.scope",
        cpu__stat="usage_usec 1500000\nuser_usec 1000000\n",
        io__stat="8:0 rbytes=10 wbytes=20 rios=1 wios=1 dbytes=0 dios=0\n259:1 rbytes=5\n",
        **files,
    )


def test_the_totals_of_version_1_are_read(tmp_path: Path) -> None:
    version_1(tmp_path)
    files = files_of(V1, tmp_path)
    assert files.read() == CgroupUsage(1 << 20, 2.5, 4096, 101)
    assert files.keeps_peak


def test_the_totals_of_version_2_are_read(tmp_path: Path) -> None:
    version_2(tmp_path, memory__peak="7340032\n", memory__current="1\n")
    files = files_of(V2, tmp_path)
    assert files.read() == CgroupUsage(7 << 20, 1.5, 15, 20)
    assert files.keeps_peak


def test_the_totals_of_the_machine_are_nobodys(tmp_path: Path) -> None:
    with_files(tmp_path / "memory", memory__max_usage_in_bytes="99\n")
    with_files(tmp_path / "cpu,cpuacct", cpuacct__usage="59526128053303\n")
    (tmp_path / "cpuacct").symlink_to("cpu,cpuacct")
    with_files(tmp_path / "blkio").joinpath("blkio.throttle.io_service_bytes_recursive").write_text(
        "8:0 Read 4096\n"
    )
    with_files(tmp_path, cpu__stat="usage_usec 59526128053\n", io__stat="8:0 rbytes=1\n")
    for groups in (EXITING, "0::/\n", ""):
        assert files_of(groups, tmp_path).read() == NO_USAGE


def test_a_container_whose_init_made_cgroups_of_its_own_is_measured_whole() -> None:
    groups = "0::/system.slice/docker-a.scope/init.scope\n"
    assert paths_of_container("a.scope", groups) == {"": "system.slice/docker-a.scope"}
    nested = "4:memory:/docker/outer/docker/a/app\n"
    assert paths_of_container("a", nested.replace("app", "b")) == {
        "memory": "docker/outer/docker/a"
    }


def test_before_linux_5_19_the_present_memory_is_read_for_its_peak(tmp_path: Path) -> None:
    folder = version_2(tmp_path, memory__current="100\n")
    files = files_of(V2, tmp_path)
    assert not files.keeps_peak
    high = files.read()
    (folder / "memory.current").write_text("40\n")
    assert high.most(files.read()).memory_peak_bytes == 100


def test_on_a_hybrid_system_each_controller_is_read_where_it_is(tmp_path: Path) -> None:
    with_files(tmp_path / "memory/docker/a", memory__max_usage_in_bytes="9\n")
    with_files(tmp_path / "docker/a", cpu__stat="usage_usec 2\n")
    files = files_of("4:memory:/docker/a\n0::/docker/a\n", tmp_path)
    assert files.read() == CgroupUsage(9, 2e-6, None, None)


def test_what_is_not_counted_is_unknown_and_not_zero(tmp_path: Path) -> None:
    assert files_of(V1, tmp_path).read() == NO_USAGE
    folder = with_files(tmp_path / "one", cpu__stat="what is this\n", memory__peak="max\n")
    assert UsageFiles.of_folder(folder).read() == NO_USAGE


def test_a_cgroup_that_did_no_input_or_output_is_known_to_have_done_none(tmp_path: Path) -> None:
    folder = with_files(tmp_path / "one", io__stat="")
    assert UsageFiles.of_folder(folder).read() == CgroupUsage(None, None, 0, 0)


def test_a_cgroup_that_is_gone_leaves_what_was_read_before(tmp_path: Path) -> None:
    folder = version_2(tmp_path, memory__peak="5\n")
    files = files_of(V2, tmp_path)
    before = files.read()
    for file in folder.iterdir():
        file.unlink()
    assert before.most(files.read()) == before
    assert NO_USAGE.most(before) == before


def test_the_traffic_of_a_device_on_other_devices_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroup_usage, "DEVICES", tmp_path / "dev")
    (tmp_path / "dev/253:0/slaves/sda").mkdir(parents=True)
    (tmp_path / "dev/8:0/slaves").mkdir(parents=True)
    io = "253:0 rbytes=100 wbytes=0\n8:0 rbytes=100 wbytes=0\n"
    folder = with_files(tmp_path / "one", io__stat=io)
    assert UsageFiles.of_folder(folder).read().read_bytes == 100


def test_a_file_is_not_read_beyond_its_bound(tmp_path: Path) -> None:
    io = "".join(f"8:{n} rbytes=1 wbytes=1\n" for n in range(10_000))
    folder = with_files(tmp_path / "one", io__stat=io)
    count = UsageFiles.of_folder(folder).read().read_bytes
    assert count is not None
    assert 0 < count < MOST_BYTES / 20
