"""Layouts are not changed where the new slices would not be seen."""

from __future__ import annotations

import pytest

from launcher.daemon.machine.contained import must_be_able_to_change_layouts
from launcher.errors import NotAllowed


def test_a_container_that_was_given_no_right_to_it_changes_no_layout() -> None:
    with pytest.raises(NotAllowed, match="device nodes of new slices") as refused:
        must_be_able_to_change_layouts("0123", fake_gpu=False, environment={})
    assert "docker compose run --rm layout" in str(refused.value)
    assert "systemd service" in str(refused.value)


@pytest.mark.parametrize(
    ("container", "fake_gpu", "environment"),
    [
        (None, False, {}),
        ("0123", True, {}),
        ("0123", False, {"NVIDIA_MIG_CONFIG_DEVICES": "all"}),
    ],
)
def test_a_host_a_fake_gpu_and_a_container_with_that_right_change_it(
    container: str | None, fake_gpu: bool, environment: dict[str, str]
) -> None:
    must_be_able_to_change_layouts(container, fake_gpu=fake_gpu, environment=environment)
