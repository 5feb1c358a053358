"""Which processes and containers on a slice do not count as use of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from launcher.daemon.machine.foreign_allowlist import ForeignAllowlist
from launcher.gpu import GpuProcess

NAMES = ("nv-hostengine", "dcgm-exporter", "nvidia-persistenced", "acme/watch")


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """Processes as /proc shows them."""

    def add(pid: int, comm: str, exe: str, cgroup: str = "0::/") -> None:
        place = tmp_path / str(pid)
        place.mkdir()
        (place / "comm").write_text(f"{comm}\n")
        (place / "cgroup").write_text(f"{cgroup}\n")
        (place / "exe").symlink_to(exe)

    add(1, "nv-hostengine", "/usr/bin/nv-hostengine")
    add(2, "nvidia-persiste", "/usr/bin/nvidia-persistenced")  # the kernel keeps 15 letters
    add(3, "main", "/opt/dcgm-exporter")
    add(4, "python", "/usr/bin/python3")
    add(5, "python", "/usr/bin/python3", f"0::/docker/{'c' * 64}")
    add(6, "python", "/usr/bin/python3", f"0::/docker/{'d' * 64}")
    return tmp_path


def listed(letter: str, name: str, image: str, **labels: str) -> dict[str, Any]:
    return {"Id": letter * 64, "Names": [f"/{name}"], "Image": image, "Labels": labels or None}


@pytest.mark.parametrize(
    ("pid", "allowed"), [(1, True), (2, True), (3, True), (4, False), (5, False), (99, False)]
)
def test_a_process_is_known_by_its_name_or_its_program(proc: Path, pid: int, allowed: bool) -> None:
    assert ForeignAllowlist(NAMES, proc).process(pid) is allowed


def test_where_nothing_is_allowed_everybody_counts(proc: Path) -> None:
    found = [GpuProcess(pid, None, "compute") for pid in (1, 2, 3, 4)]
    assert ForeignAllowlist((), proc).others(found) == found
    assert [p.pid for p in ForeignAllowlist(NAMES, proc).others(found)] == [4]


@pytest.mark.parametrize(
    ("container", "allowed"),
    [
        (listed("c", "dcgm-exporter", "x"), True),
        (listed("c", "x", "nvcr.io/nvidia/k8s/dcgm-exporter:3.3.5"), True),
        (listed("c", "x", "dcgm-exporter@sha256:1234"), True),
        (listed("c", "x", "host:5000/acme/dcgm-exporter"), True),
        (listed("c", "x", "acme/watch:1"), True),
        (listed("c", "x", "other/watch:1"), False),
        (listed("c", "my-dcgm-exporter", "x"), False),
        (listed("c", "dcgm-exporter", "x", **{"launcher.store": "beef"}), False),
    ],
)
def test_a_container_is_known_by_its_name_or_its_image_and_a_launchers_never(
    container: dict[str, Any], allowed: bool
) -> None:
    assert ForeignAllowlist(NAMES).container(container) is allowed


def test_all_processes_of_an_allowed_container_are(proc: Path) -> None:
    known = ForeignAllowlist(NAMES, proc)
    known.note([listed("c", "x", "dcgm-exporter"), listed("d", "y", "torch")])
    assert [known.process(pid) for pid in (4, 5, 6)] == [False, True, False]
    known.note([])
    assert not known.process(5)
