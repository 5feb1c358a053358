"""A file system that a user serves is told by the kernel's own list of mounts."""

from __future__ import annotations

import pytest

from launcher.errors import PinRefused
from launcher.mount_helper import MountRequest
from launcher.mount_helper.fuse import check_below, check_server

MOUNTS = """\
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
40 27 0:35 / /home/alice/ssh rw,nosuid,nodev - fuse.sshfs bob@host: rw,user_id=61001,group_id=61001
41 27 0:36 / /data rw - fuse.juicefs JuiceFS:data rw,user_id=0,group_id=0,allow_other
42 27 0:37 / /mnt rw - fuseblk /dev/vdb rw,user_id=0,group_id=0
43 27 0:38 / /img rw - fuse image rw,user_id=10,group_id=0,allow_other
44 27 0:39 / /empty rw - tmpfs  rw
45 27 0:40 / /host rw master:3 - virtiofs share rw
"""
MOUNT = MountRequest("/home/alice", "ssh")


@pytest.mark.parametrize("mount_id", [27, 41, 42, 44, 45, 4])
def test_what_root_mounted_is_used(mount_id: int) -> None:
    check_server(MOUNTS, mount_id, MOUNT)


@pytest.mark.parametrize("mount_id", [40, 43])
def test_what_a_user_mounted_is_refused(mount_id: int) -> None:
    with pytest.raises(PinRefused, match="/home/alice/ssh: is on a file system that a user serves"):
        check_server(MOUNTS, mount_id, MOUNT)


@pytest.mark.parametrize("place", ["/home/alice/ssh", "/home/alice", "/home"])
def test_what_a_user_mounted_at_or_below_a_place_is_refused_and_named(place: str) -> None:
    below = str(MountRequest(place, "")) + "/home/alice/ssh".removeprefix(place)
    what = "is" if below == place else f"{below} is"
    with pytest.raises(PinRefused, match=f"^{place}: {what} on a file system that a user serves"):
        check_below(MOUNTS, place, MountRequest(place, ""))


@pytest.mark.parametrize("place", ["/home/alice/ss", "/home/alice/ssh/in", "/data", "/host", "/i"])
def test_a_user_may_mount_what_has_nothing_of_users_below(place: str) -> None:
    check_below(MOUNTS, place, MOUNT)


def test_a_place_with_a_space_in_its_name_is_found_in_the_kernels_list() -> None:
    line = r"9 1 0:9 / /a\040b/c rw - fuse x rw,user_id=7,group_id=0"
    with pytest.raises(PinRefused, match="/a b: /a b/c is on"):
        check_below(line, "/a b", MountRequest("/a b", ""))
