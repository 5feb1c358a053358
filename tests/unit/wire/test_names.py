"""Names that programs written for 0.1.0 import."""

from __future__ import annotations

import pytest

from launcher import wire


@pytest.mark.parametrize(
    ("former", "now"), [("JobRequest", wire.JobSpec), ("RetryRequest", wire.Retries)]
)
def test_a_name_of_an_earlier_version_is_the_present_type(former: str, now: type) -> None:
    assert getattr(wire, former) is now
