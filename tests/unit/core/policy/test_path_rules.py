"""Paths in a container that no job and no image may name."""

from __future__ import annotations

from typing import Any

import pytest

from launcher.core.policy import image_rules, validate
from launcher.core.policy.policy import is_kernels, normal
from launcher.errors import UserError
from launcher.spec.job_spec import JobSpec, Mount
from tests.support.builders import CPU


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"working_dir": "/work\n/proc"}, "working_dir"),
        ({"working_dir": "/work\0"}, "working_dir"),
        ({"working_dir": "work"}, "working_dir"),
        ({"volumes": (Mount("/home/alice", "/work\n", True),)}, "volumes"),
        ({"volumes": (Mount("/home/alice\r", "/work", True),)}, "volumes"),
    ],
)
def test_a_path_with_a_control_character_or_without_a_root_makes_no_job(
    wrong: dict[str, Any], field: str
) -> None:
    with pytest.raises(UserError, match=f"^{field}: ") as refused:
        validate.check(JobSpec("job", "busybox", CPU, **wrong))
    assert "\n" not in refused.value.message


@pytest.mark.parametrize(
    "directory", ["/proc/self/fd/7", "proc/self/fd/7", "/x/../sys", "/dev\n", "///dev/fd/7\nx"]
)
def test_an_image_that_starts_in_what_is_the_kernels_is_refused_by_its_rule(directory: str) -> None:
    (fault,) = image_rules.faults({}, directory, toolkit_fixed=True)
    assert "(rule image-directory)" in fault
    assert "\n" not in fault


@pytest.mark.parametrize("directory", [None, "/", "/app", "app", "/process", "/srv/proc"])
def test_an_image_may_start_anywhere_else(directory: str | None) -> None:
    assert list(image_rules.faults({}, directory, toolkit_fixed=True)) == []


def test_a_path_is_judged_as_docker_cleans_it() -> None:
    assert [normal(p) for p in ("//a//b/", "a/./b", "/a/../../b", "/")] == [
        "/a/b",
        "/a/b",
        "/b",
        "/",
    ]
    assert is_kernels("/a/../proc")
