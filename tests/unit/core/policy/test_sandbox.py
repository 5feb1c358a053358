"""The size of /dev/shm, and the network."""

from __future__ import annotations

from typing import Any

import pytest

from launcher.core.model.job import Owner
from launcher.core.policy.policy import Person, PolicyInput
from launcher.core.policy.sandbox import confinement, shm_size
from launcher.core.policy.settings import Policy
from launcher.spec.job_spec import JobSpec
from tests.support.builders import ALICE, CPU, ROOT, profile

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


@pytest.mark.parametrize(
    ("owner", "mode", "network"),
    [
        (ALICE, None, "launcher"),
        (ALICE, "default", "launcher"),
        (ALICE, "none", "none"),
        (ALICE, "host", "host"),
        (ROOT, None, None),
        (ROOT, "default", None),
        (ROOT, "host", "host"),
    ],
)
def test_ordinary_users_get_the_network_of_jobs_where_they_ask_for_no_other(
    owner: Owner, mode: str | None, network: str | None
) -> None:
    spec = JobSpec("job", "busybox", CPU, network_mode=mode)  # type: ignore[arg-type]
    request = PolicyInput(spec, Person(owner), Policy(), None)
    assert confinement(request, job_network="launcher").network == network
    assert confinement(request).network == (None if network == "launcher" else network)


def test_who_runs_a_daemon_of_their_own_keeps_dockers_default_network() -> None:
    own = Policy(unbound=frozenset({0, ALICE.uid}))
    request = PolicyInput(JobSpec("job", "busybox", CPU), Person(ALICE), own, None)
    assert confinement(request, job_network="launcher").network is None
