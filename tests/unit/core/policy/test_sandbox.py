"""The size of /dev/shm."""

from __future__ import annotations

from typing import Any

import pytest

from launcher.core.policy.policy import Person, PolicyInput
from launcher.core.policy.sandbox import shm_size
from launcher.core.policy.settings import Policy
from launcher.spec.job_spec import JobSpec
from tests.support.builders import ALICE, CPU, profile

MIB, GIB = 1 << 20, 1 << 30


@pytest.mark.parametrize(
    ("spec", "size"),
    [
        ({}, 3 * GIB),
        ({"mem_limit": 100 * MIB}, 50 * MIB),
        ({"mem_limit": 6 * MIB, "shm_size": MIB}, MIB),
        ({"mem_limit": 60 * GIB}, 8 * GIB),
        ({"mem_limit": 60 * GIB, "gpus": profile(count=2)}, 16 * GIB),
        ({"mem_limit": 60 * GIB, "gpus": CPU}, 8 * GIB),
    ],
)
def test_it_is_half_of_the_memory_and_an_eighth_of_the_hosts_per_slice_unless_it_is_given(
    spec: dict[str, Any], size: int
) -> None:
    rules = Policy(host_memory=64 * GIB)
    job = JobSpec("a", "x", spec.pop("gpus", profile()), **spec)
    assert shm_size(PolicyInput(job, Person(ALICE), rules, 6 * GIB)) == size
