"""What an element of an array makes of a short request is short."""

from __future__ import annotations

from typing import Any

import pytest

from launcher.core.policy import validate
from launcher.errors import UserError
from launcher.spec.gpus import GpuRequest
from launcher.spec.job_spec import JobSpec, Mount, Retries
from tests.support.builders import CPU

LONGEST_NAME = f"{'n' * 255}:{'t' * 128}@sha512:{'0' * 128}"


def spec(**fields: Any) -> JobSpec:
    return JobSpec(**{"name": "job", "image": "busybox", "gpus": CPU, **fields})


@pytest.mark.parametrize(
    "fields",
    [
        {"image": LONGEST_NAME},
        {"gpus": GpuRequest("uuid", count=2, uuids=(f"MIG-GPU-{'0' * 36}/12/10", "b"))},
        {"retries": Retries(1, ("exit:1",) * 100)},
        {"environment": {f"V{n}": "x" * 100_000 for n in range(20)}},
        {"working_dir": "/" * 4096},
    ],
)
def test_what_is_as_long_as_it_can_be_is_well_formed(fields: dict[str, Any]) -> None:
    validate.check(spec(**fields))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"image": "i" * 601}, "is not an image reference"),
        ({"image": "../containers/x"}, "is not an image reference"),
        ({"gpus": GpuRequest("profile", profile="p" * 65)}, "names of 64 characters"),
        ({"gpus": GpuRequest("uuid", uuids=("u" * 65,))}, "names of 64 characters"),
        (
            {"gpus": GpuRequest("uuid", uuids=tuple(map(str, range(1025))))},
            "at most 1024 names",
        ),
        ({"retries": Retries(1, ("oom",) * 101)}, "101 ends are named, the limit is 100"),
        (
            {"environment": {f"V{n}": "é" * 60_000 for n in range(20)}},
            "environment: it has 2400090 bytes, the limit is 2097152",
        ),
        ({"volumes": (Mount("/a", "/" + "t" * 4096, False),)}, "a path has 4097 characters"),
        ({"working_dir": "/" * 5000}, "a path has 5000 characters"),
    ],
)
def test_what_would_make_each_row_long_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as refused:
        validate.check(spec(**fields))
    assert said in refused.value.message
