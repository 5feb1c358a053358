"""Which directories of a container are in its mounts, and when they are not safe there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from launcher.core.model.job import Owner
from launcher.core.policy.policy import Person, PolicyInput
from launcher.core.policy.settings import Policy
from launcher.daemon.mounts.container_directories import Directories, inside, own
from launcher.engine.images import ImageConfig
from launcher.errors import PinRefused
from launcher.spec.job_spec import JobSpec, Mount
from tests.support.builders import CPU

WORK = (Mount("/home/alice", "/work/", False), Mount("/data", "/data", True))
IMAGE = ImageConfig({}, "/work/src", ("/work/db", "/var/db"))


def spec(working_dir: str | None = None) -> JobSpec:
    return JobSpec("job", "busybox", CPU, working_dir=working_dir, volumes=WORK)


def directories(image: ImageConfig = IMAGE, *, fixed: bool = True) -> Directories:
    return Directories(lambda image_id: image, lambda: fixed)


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("/work/a/b", ["a/b"]),
        ("//work/./a/../b/", ["b"]),
        ("/work", []),
        ("/work/a/..", []),
        ("/workshop", []),
        ("/", []),
    ],
)
def test_a_directory_is_in_a_mount_by_its_clean_path(place: str, found: list[str]) -> None:
    pairs = list(inside(WORK[0], [("working_dir", place)]))
    assert [path for _, path in pairs] == found


def test_the_images_directory_counts_where_the_job_names_none() -> None:
    of = directories().of
    assert [path for _, path in of(spec(), "sha256:1")] == ["/work/src", "/work/db", "/var/db"]
    assert [path for _, path in of(spec("/a"), "sha256:1")] == ["/a", "/work/db", "/var/db"]


@pytest.mark.parametrize("working_dir", ["/work/a", None])
def test_a_runc_that_leads_out_of_the_container_gets_no_directory_below_a_mount(
    working_dir: str | None,
) -> None:
    with pytest.raises(PinRefused, match=r"below a mount.*CVE-2024-21626, rule working-dir"):
        directories(fixed=False).checked(spec(working_dir), "sha256:1")
    assert directories().checked(spec(working_dir), "sha256:1")


@pytest.mark.parametrize("working_dir", ["/work", "/app", "/"])
def test_any_runc_starts_in_a_mounts_own_place_or_in_the_image(working_dir: str) -> None:
    assert directories(fixed=False).checked(spec(working_dir), "sha256:1")


def test_a_job_without_a_directory_of_its_own_asks_for_none() -> None:
    assert own(spec()) == []
    assert directories(ImageConfig(), fixed=False).checked(spec(), "sha256:1") == []


def test_a_users_own_daemon_has_no_directory_made_in_a_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    mine = Owner(1000, 1000, "alice")
    binds = (Mount(str(tmp_path), "/work", False),)
    made = JobSpec("job", "busybox", CPU, working_dir="/work/x", volumes=binds)
    asked = PolicyInput(made, Person(mine), Policy(unbound=frozenset({1000})), 2**30)
    look = directories(ImageConfig(), fixed=False)
    with pytest.raises(PinRefused, match=f"^working_dir /work/x does not exist in {tmp_path}"):
        look.check_local(asked, "sha256:1")
    (tmp_path / "x").mkdir()
    look.check_local(asked, "sha256:1")
