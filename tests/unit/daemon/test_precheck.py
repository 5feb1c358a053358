"""What is said before the daemon's own container starts under Compose."""

from __future__ import annotations

import pytest

from launcher.daemon.precheck import advice


@pytest.mark.parametrize(
    ("version", "environment", "is_given"),
    [
        ("28.5.2", {}, False),
        ("29.2.0", {}, True),
        ("29.2.0", {"GPU_DRIVER": "nvidia"}, True),
        ("29.2.0", {"GPU_DRIVER": "nvidia.runtime-hook"}, False),
        ("", {}, False),
    ],
)
def test_a_docker_that_prefers_cdi_needs_another_driver(
    version: str, environment: dict[str, str], is_given: bool
) -> None:
    told = advice(version, environment)
    assert (told is not None) == is_given
    assert told is None or "GPU_DRIVER=nvidia.runtime-hook in compose/.env" in told
