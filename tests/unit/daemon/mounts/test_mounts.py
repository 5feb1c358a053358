"""Which mounts are opened as the job's owner, and what Docker gets in their place."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.core.model.job import Owner
from launcher.core.policy.policy import Person, PolicyInput
from launcher.core.policy.settings import MountRoot, Policy
from launcher.daemon.mounts.mounts import are_pinned, as_mounted, mounts_of, user_of
from launcher.mount_helper import MountRequest
from launcher.spec.job_spec import JobSpec, Mount

ALICE = Owner(1000, 1000, "alice")
POLICY = Policy(mount_roots=(MountRoot("/data"), MountRoot("/data/shared", read_only=True)))
MOUNTS = (
    Mount(source="/data/alice/in", target="/in", read_only=True),
    Mount(source="/data/alice", target="/work"),
    Mount(source="/data/shared/set", target="/set"),
)


def asked(*mounts: Mount, owner: Owner = ALICE, policy: Policy = POLICY) -> PolicyInput:
    return PolicyInput(JobSpec("job", "busybox", volumes=mounts), Person(owner), policy, 0)


def test_mounts_are_pinned_unless_the_owner_has_docker_anyway() -> None:
    assert are_pinned(asked(*MOUNTS))
    assert not are_pinned(asked())
    trusted = replace(POLICY, unbound=frozenset({ALICE.uid}))
    assert not are_pinned(asked(*MOUNTS, policy=trusted))


def test_each_mount_is_a_path_below_its_root_and_as_writable_as_that() -> None:
    assert mounts_of(asked(*MOUNTS), []) == [
        MountRequest("/data", "alice/in", True, ()),
        MountRequest("/data", "alice", False, ()),
        MountRequest("/data/shared", "set", True, ()),
    ]


def test_a_root_itself_can_be_mounted_and_what_is_outside_of_all_is_left_out() -> None:
    (one,) = mounts_of(asked(Mount("/data", "/d"), Mount("/database", "/e")), [])
    assert (one.root, one.path) == ("/data", ".")


def test_docker_gets_the_pins_of_a_container_by_number() -> None:
    pinned = as_mounted(asked(*MOUNTS), "/run/pins", "launch-feed-1-1")
    assert [bind.source for bind in pinned] == [f"/run/pins/launch-feed-1-1/{n}" for n in range(3)]
    assert [(b.target, b.read_only) for b in pinned] == [(b.target, b.read_only) for b in MOUNTS]


def test_mounts_that_are_not_pinned_stay_as_they_are() -> None:
    trusted = replace(POLICY, unbound=frozenset({ALICE.uid}))
    assert as_mounted(asked(*MOUNTS, policy=trusted), "/run/pins", "x") == MOUNTS


def test_a_user_mounts_with_all_groups() -> None:
    me = Owner(os.getuid(), os.getgid(), Path("~").expanduser().owner())
    user = user_of(Person(me))
    assert (user.uid, user.gid) == (me.uid, me.gid)
    assert me.gid in user.groups


@pytest.mark.parametrize("place", ["/work/sub", "/elsewhere"])
def test_directories_of_the_container_below_a_mount_are_made_there(place: str) -> None:
    mounts = mounts_of(asked(*MOUNTS), [("working_dir", place)])
    made = [bool(mount.inside) for mount in mounts]
    assert made == [False, place.startswith("/work"), False]
