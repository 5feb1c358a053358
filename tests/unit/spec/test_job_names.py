"""The name of a job that was given none."""

from __future__ import annotations

import pytest

from launcher.spec.job_names import default_name


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("busybox", "busybox"),
        ("registry:5000/team/My.Tool@sha256:" + "a" * 64, "my.tool"),
        ("sha256:" + "a" * 64, "job"),
        ("registry/12:latest", "job"),
        ("last", "job"),
        ("a" * 100, "a" * 63),
    ],
)
def test_a_job_without_a_name_has_that_of_its_image(image: str, name: str) -> None:
    assert default_name(image) == name
