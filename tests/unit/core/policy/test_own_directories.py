"""The directories of a container that belong to its user."""

from __future__ import annotations

from typing import Any

import pytest

from launcher.core.model.job import Owner
from launcher.core.policy.own_directories import OwnDirectories, may_own, own_directories
from launcher.core.policy.policy import Person, PolicyInput
from launcher.core.policy.settings import Policy
from launcher.spec.job_spec import JobSpec, Mount
from tests.support.builders import ALICE, CPU

HOME = "/home/alice"


def directories(image: str | None = None, *mounts: str, **spec: Any) -> OwnDirectories:
    volumes = tuple(Mount("/data", target) for target in mounts)
    request = PolicyInput(
        JobSpec("a", "x", CPU, volumes=volumes, **spec), Person(ALICE), Policy(), 1
    )
    result = own_directories(request, image)
    assert result is not None
    return result


def test_a_job_has_a_home_a_cache_and_tmp_and_starts_in_its_home() -> None:
    own = directories()
    assert (own.home_path, own.home, own.cache, own.tmp) == (HOME, True, True, True)
    assert (own.working_dir, own.owned, own.parents) == (HOME, None, ("home/.cache",))


def test_roots_job_has_its_images_directories() -> None:
    root = PolicyInput(JobSpec("a", "x", CPU), Person(Owner(0, 0, "root")), Policy(), 1)
    assert own_directories(root, "/app") is None


@pytest.mark.parametrize(
    ("image", "spec", "owned"),
    [
        ("/workspace", {}, "/workspace"),
        ("/usr/src/app", {}, "/usr/src/app"),
        ("/root", {}, "/root"),
        ("/opt/project/", {}, "/opt/project"),
        ("/workspace", {"working_dir": "/scratch/x"}, "/scratch/x"),
        ("/workspace", {"working_dir": "/"}, None),
        ("/tmp/x", {}, None),
        (f"{HOME}/x", {}, None),
        ("/usr/local/app", {}, None),
        ("/etc", {}, None),
        ("/var", {}, None),
    ],
)
def test_a_directory_of_the_image_is_given_to_the_user_unless_programs_share_it(
    image: str, spec: dict[str, str], owned: str | None
) -> None:
    own = directories(image, **spec)
    assert (own.owned, own.working_dir) == (owned, None)


def test_a_directory_in_a_mount_is_the_users_anyway() -> None:
    own = directories("/work/src", "/work")
    assert own.owned is None
    assert own.parents == ("home/.cache",)


@pytest.mark.parametrize(
    ("target", "parents"),
    [
        (f"{HOME}/.cache/huggingface/hub", ("home/.cache/huggingface",)),
        (f"{HOME}/data", ("home/.cache",)),
        (f"{HOME}/a/b/c", ("home/a/b", "home/.cache")),
        ("/tmp/a/b", ("tmp/a", "home/.cache")),
        ("/workspace/data", ("home/.cache",)),
    ],
)
def test_the_parents_of_mounts_below_home_and_tmp_are_made(
    target: str, parents: tuple[str, ...]
) -> None:
    assert directories(None, target).parents == parents


def test_a_mount_at_or_below_the_cache_takes_its_place() -> None:
    assert not directories(None, f"{HOME}/.cache").cache
    assert not directories(None, f"{HOME}/.cache/pip").cache
    assert directories(None, f"{HOME}/.cachex").cache


@pytest.mark.parametrize("target", [HOME, "/home", f"{HOME}/"])
def test_a_mount_at_or_above_home_is_the_home(target: str) -> None:
    own = directories(None, target)
    assert (own.home, own.cache, own.working_dir) == (False, False, HOME)


def test_a_home_outside_home_is_left_to_the_image() -> None:
    own = directories(None, environment={"HOME": "/workspace"})
    assert (own.home_path, own.home, own.cache) == ("/workspace", False, False)
    assert own.working_dir == "/tmp"


def test_the_working_directory_in_home_is_made() -> None:
    own = directories(None, working_dir=f"{HOME}/project/src")
    assert own.parents == ("home/.cache", "home/project/src")


def test_tmp_in_memory_has_no_directory_on_disk() -> None:
    own = directories(None, "/tmp/a/b", tmp="memory")
    assert (own.tmp, own.parents) == (False, ("home/.cache",))


@pytest.mark.parametrize(
    "path",
    ["/", "/proc/x", "/sys", "/dev/shm", "/run/x", "/etc/x", "/lib64", "/usr/bin", "/usr/lib/x",
     "/boot", "/var/run/x", "/a\nb"],
)  # fmt: skip
def test_places_of_the_system_are_never_given_away(path: str) -> None:
    assert not may_own(path)
