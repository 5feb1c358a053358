"""Where process trees can be kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.host.cgroup import unified_root

V2 = "29 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
HYBRID = (
    "30 23 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "31 23 0:28 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n"
)
V1 = "30 23 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
PART = "29 23 0:26 /docker/1 /sys/fs/cgroup ro - cgroup2 cgroup rw\n"


@pytest.mark.parametrize(
    ("mounts", "release", "root"),
    [
        (V2, "6.1.0-18-amd64", "/sys/fs/cgroup"),
        (V2, "5.14.0-427.el9.x86_64", "/sys/fs/cgroup"),
        (HYBRID, "6.18.44", "/sys/fs/cgroup/unified"),
        (V2, "5.10.0-28-amd64", None),
        (V1, "6.1.0", None),
        (PART, "6.1.0", None),
        (V2, "what is this", None),
    ],
)
def test_cgroup_v2_is_used_where_it_is_whole_and_can_end_trees(
    tmp_path: Path, mounts: str, release: str, root: str | None
) -> None:
    file = tmp_path / "mountinfo"
    file.write_text(mounts)
    assert unified_root(file, release) == (None if root is None else Path(root))
