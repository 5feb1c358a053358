"""Users choose names of mount points and processes: none of them makes a line of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher import procfs
from launcher.daemon.attempts import start_witness
from launcher.engine.own import own_container
from launcher.errors import PinRefused
from launcher.gpu.holders import describe
from launcher.host.cgroup import unified_root
from launcher.mount_helper.fuse import check_below, check_server
from launcher.mount_helper.values import MountRequest

BREAKS = ["\v", "\f", "\r", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
"""What ``str.splitlines`` splits at and the kernel does not escape."""
HOME = "25 1 0:30 / /home/alice rw - ext4 /dev/a rw"


def served(name: str) -> str:
    """Return a mountinfo with a file system that a user serves at this name."""
    fuse = f"36 25 0:99 / /home/alice/a{name}b rw - fuse.sshfs x rw,user_id=1000,group_id=1000"
    return f"{HOME}\n{fuse}\n"


@pytest.mark.parametrize("name", BREAKS)
def test_a_file_system_that_a_user_serves_is_seen_whatever_its_place_is_called(name: str) -> None:
    mount = MountRequest("/home/alice", "")
    with pytest.raises(PinRefused):
        check_below(served(name), "/home/alice", mount)
    with pytest.raises(PinRefused):
        check_server(served(name), 36, mount)


@pytest.mark.parametrize("name", [*BREAKS, "\udcff"])
def test_no_name_of_a_mount_point_stops_what_reads_the_list(name: str, tmp_path: Path) -> None:
    path = tmp_path / "mountinfo"
    cgroup = "40 1 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw"
    path.write_bytes(f"{served(name)}{cgroup}\n".encode("utf-8", "surrogateescape"))
    assert own_container(path) is None
    assert unified_root(path, "6.12") == Path("/sys/fs/cgroup/unified")
    assert len(procfs.read_lines(path)) == 3


@pytest.mark.parametrize("name", BREAKS[:6])
def test_no_name_of_a_process_makes_a_field_of_its_status(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "7"
    place.mkdir()
    (place / "status").write_text(f"Name:\ta{name}PPid:\t1\nPPid:\t42\n", newline="")
    monkeypatch.setattr(start_witness, "PROC", tmp_path)
    assert start_witness._status(7, "PPid") == ["42"]


def test_a_process_with_a_name_that_is_not_text_is_described(tmp_path: Path) -> None:
    place = tmp_path / "7"
    place.mkdir()
    (place / "comm").write_bytes(b"\xff\xfe\n")
    (place / "cgroup").write_bytes(b"0::/\xff\n")
    holder = describe(7, tmp_path)
    assert str(holder).encode()
    assert holder.command
