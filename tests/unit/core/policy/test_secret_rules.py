"""Which names secrets may have, and what may not be mounted where they are."""

from __future__ import annotations

import pytest

from launcher.core.policy import validate
from launcher.errors import UserError
from launcher.spec.job_spec import JobSpec, Mount
from tests.support.builders import CPU


def spec(*secrets: str, target: str = "/work") -> JobSpec:
    binds = (Mount("/home/alice", target, read_only=True),)
    return JobSpec("train", "app", CPU, volumes=binds, secrets=dict.fromkeys(secrets))


@pytest.mark.parametrize("name", ["token", "a.b", "A-1", "-x", "_", "x" * 128])
def test_a_plain_file_name_is_a_secrets(name: str) -> None:
    validate.check(spec(name))


@pytest.mark.parametrize("name", ["", ".", "..", ".x", "a/b", "a\0", "a\n", "ä", "a b", "x" * 129])
def test_what_is_no_plain_file_name_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"secrets: .* is not a file name"):
        validate.check(spec(name))


def test_a_job_has_sixteen_at_most() -> None:
    validate.check(spec(*(f"s{number}" for number in range(16))))
    with pytest.raises(UserError, match="secrets: 17 are more than 16"):
        validate.check(spec(*(f"s{number}" for number in range(17))))


IN_THE_WAY = (
    "/run/secrets", "/run/secrets/", "/run", "//run/secrets", "/run/./secrets/x", "/x/../run",
    "/var/run", "/var/run/secrets", "/var/run/secrets/token", "/", "//",
)  # fmt: skip


@pytest.mark.parametrize("target", IN_THE_WAY)
def test_nothing_is_mounted_over_them_or_below(target: str) -> None:
    validate.check(spec(target=target))
    with pytest.raises(UserError, match="is in the way of /run/secrets"):
        validate.check(spec("token", target=target))


@pytest.mark.parametrize(
    "target", ["/run/secrets-of-mine", "/running", "/var/runs", "/var/running"]
)
def test_beside_them_there_is_room(target: str) -> None:
    validate.check(spec("token", target=target))
