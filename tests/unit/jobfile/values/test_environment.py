"""Variables that a job may set, and ``KEY=VALUE`` words."""

from __future__ import annotations

import pytest

from launcher.jobfile.values.environment import check_variable, parse_assignment


@pytest.mark.parametrize("name", ["A", "_a1", "LDX", "LAUNCHER", "CUDA_VISIBLE_DEVICES_", "NVIDIA"])
def test_a_variable_that_only_resembles_a_refused_one_is_allowed(name: str) -> None:
    assert check_variable(name) == name


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a b", "A\n", "\u00c4", "A="])
def test_what_a_shell_could_not_set_is_not_a_name(name: str) -> None:
    with pytest.raises(ValueError, match="is not a valid variable name"):
        check_variable(name)


@pytest.mark.parametrize(
    "name",
    ["NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES", "LD_PRELOAD", "LD_", "LAUNCHER_JOB_ID",
     "GLIBC_TUNABLES", "GCONV_PATH", "DOCKER_RESOURCE_GPU"],
)  # fmt: skip
def test_what_decides_on_gpus_or_libraries_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} cannot be set by a job: "):
        check_variable(name)


def test_an_assignment_has_all_after_the_first_equals_sign() -> None:
    assert parse_assignment("A=b=c ", {}) == ("A", "b=c ")
    assert parse_assignment("A=", {"A": "client"}) == ("A", "")


def test_a_bare_name_takes_the_clients_value_or_is_not_set() -> None:
    assert parse_assignment("A", {"A": "x"}) == ("A", "x")
    assert parse_assignment("A", {}) is None


def test_a_value_that_is_not_text_is_refused_without_showing_it() -> None:
    with pytest.raises(ValueError, match="the value of A is not UTF-8 text"):
        parse_assignment("A", {"A": "\udcff"})
