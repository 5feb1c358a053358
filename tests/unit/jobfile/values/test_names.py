"""Names, images and users: what is allowed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from launcher.imageref import LONGEST
from launcher.jobfile.values import names


@pytest.mark.parametrize(
    ("check", "good"),
    [
        (names.check_name, "train.v2_a-b"),
        (names.check_name, "1-2-3"),
        (names.check_name, "a" * 63),
        (names.check_image, "nvcr.io/nvidia/pytorch:25.01-py3"),
        (names.check_user, "1000"),
        (names.check_user, "1000:1000"),
        (names.check_user, "alice:users"),
        (names.check_network, "none"),
        (names.check_profile, "data-team"),
        (names.check_container_path, "/work"),
    ],
)
def test_what_is_allowed_is_returned_as_it_is(check: Callable[[str], str], good: str) -> None:
    assert check(good) == good


@pytest.mark.parametrize(
    ("check", "bad", "words"),
    [
        (names.check_name, "", "is not a valid job name"),
        (names.check_name, "-A", "is not a valid job name"),
        (names.check_name, "-a", "is not a valid job name"),
        (names.check_name, "a" * 64, "is not a valid job name"),
        (names.check_name, "a\n", "is not a valid job name"),
        (names.check_name, "12", "reads like a job id"),
        (names.check_name, "12-3", "reads like a job id"),
        (names.check_name, "last", "reads like a job id"),
        (names.check_image, "", "the image is empty"),
        (names.check_image, "Busybox", "must be in lower case"),
        (names.check_image, "a b", r"write \[registry/\]name"),
        (names.check_image, "a" * (LONGEST + 1), "longer than"),
        (names.check_user, "a b", "is not a valid user"),
        (names.check_user, "-1", "is not a valid user"),
        (names.check_user, "a:b:c", "is not a valid user"),
        (names.check_network, "bridge", "write default or none"),
        (names.check_profile, "1g.6gb", "for a slice write `gpus: 1g.6gb`"),
        (names.check_profile, "A", "policy profile$"),
        (names.check_container_path, "work", "must be an absolute path"),
    ],
)
def test_what_is_not_allowed_is_refused_with_the_reason(
    check: Callable[[str], str], bad: str, words: str
) -> None:
    with pytest.raises(ValueError, match=words) as refused:
        check(bad)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("program", "name"), [("/usr/bin/Python3", "python3"), ("./12", "job"), ("/", "job"),
                          ("./my tool.sh", "my-tool.sh")],
)  # fmt: skip
def test_a_program_on_the_machine_gives_its_name(program: str, name: str) -> None:
    assert names.name_of_program(program) == name


@pytest.mark.parametrize("name", ["My_Job", "_x", "A", "Train-2.b", "x" * 63])
def test_a_name_may_have_upper_case_and_underscores(name: str) -> None:
    assert names.check_name(name) == name
