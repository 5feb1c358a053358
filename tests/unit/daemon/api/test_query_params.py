"""Parameters of paths and query strings: read, or refused with their name and value."""

from __future__ import annotations

import pytest

from launcher.daemon.api.query_params import (
    LAST_MOMENT,
    MOST,
    flag,
    is_set,
    moment,
    must_be_known,
    of_path,
    wait_timeout,
    whole_number,
)
from launcher.daemon.loop.clock import rfc3339
from launcher.errors import UserError


def test_a_parameter_that_a_route_does_not_have_is_refused_with_those_that_it_has() -> None:
    known = [flag("all", "All."), flag("drain", "Drain.")]
    must_be_known({"all": "1"}, known)
    with pytest.raises(UserError, match="al: unknown parameter") as refused:
        must_be_known({"al": "1"}, known)
    assert refused.value.fix == "Known: all, drain."
    with pytest.raises(UserError, match="all: unknown parameter"):
        must_be_known({"all": "1"}, [])


def test_a_flag_is_0_or_1_and_0_where_it_is_not_there() -> None:
    assert [is_set(q, "all") for q in ({}, {"all": "0"}, {"all": "1"})] == [False, False, True]
    for value in ("yes", "", "2", "true"):
        with pytest.raises(UserError, match=f"all={value}"):
            is_set({"all": value}, "all")


def test_a_whole_number_is_one_that_the_database_can_compare_with() -> None:
    assert whole_number({}, "most") is None
    assert [whole_number({"most": str(n)}, "most") for n in (0, 7, MOST)] == [0, 7, MOST]
    for value in (str(MOST + 1), "9" * 5000, "-1", "1.5", "", "٣", "1_0"):
        with pytest.raises(UserError, match="most="):
            whole_number({"most": value}, "most")


def test_a_moment_is_one_that_can_be_shown() -> None:
    since = moment("since", "From this time on.")
    assert since.read({"since": str(LAST_MOMENT)}, "since") == LAST_MOMENT
    assert rfc3339(LAST_MOMENT) == "9999-12-31T23:59:59.000000Z"
    with pytest.raises(UserError, match="since="):
        since.read({"since": str(LAST_MOMENT + 1)}, "since")


def test_a_wait_is_never_longer_than_the_longest() -> None:
    asked = ("0", "2.5", "1000", "inf", "-3", "nan")
    assert [wait_timeout({"timeout": one}, "timeout") for one in asked] == [
        0.0,
        2.5,
        30.0,
        30.0,
        0.0,
        0.0,
    ]
    assert wait_timeout({}, "timeout") == 30.0
    with pytest.raises(UserError, match="timeout=soon"):
        wait_timeout({"timeout": "soon"}, "timeout")


def test_the_parameters_of_a_path_are_told_as_openapi_wants_them() -> None:
    (found,) = of_path("/v1/layout/changes/{id}/wait")
    told = found.openapi("path")
    assert (told["name"], told["in"], told["required"]) == ("id", "path", True)
    assert told["schema"]["type"] == "integer"
