"""An observer reads what every user sees, and nothing else; its limits are its own."""

from __future__ import annotations

import contextlib

import pytest

from launcher import wire
from launcher.config.limits import Limits
from launcher.config.web import UsersTable
from launcher.core.model.job import Owner
from launcher.daemon.api.route import Access
from launcher.daemon.api.routes import ROUTES
from launcher.daemon.users.identity import Caller, Roles, in_role
from launcher.daemon.users.rate_limits import Limiter, observer_limits
from launcher.errors import TooMany, UserError

GAMES = Owner(5, 60, "games")

OBSERVABLE = {
    "/v1/changes/wait", "/v1/doctor", "/v1/jobs", "/v1/jobs/{ref}", "/v1/jobs/{ref}/array",
    "/v1/jobs/{ref}/wait", "/v1/jobs/{ref}/why", "/v1/layout", "/v1/layout/changes",
    "/v1/layout/changes/{id}/wait",
    "/v1/layout/current", "/v1/layout/profiles", "/v1/layout/saved", "/v1/layout/saved/all",
    "/v1/events", "/v1/metrics", "/v1/openapi.json", "/v1/queue",
    "/v1/queue/head", "/v1/queue/starts", "/v1/reservations",
    "/v1/slices", "/v1/status", "/v1/usage",
}  # fmt: skip
"""What the network may reach through the web service: a new route here is a decision."""


def test_an_observer_may_use_these_routes_and_no_other() -> None:
    assert {route.path for route in ROUTES if route.observable} == OBSERVABLE
    assert all(route.method == "GET" for route in ROUTES if route.observable)
    assert not any(route.observable for route in ROUTES if route.access is not Access.ANYONE)


def test_notifications_are_for_the_web_service_and_not_for_who_requests_its_role() -> None:
    delivery = {route.path for route in ROUTES if route.access is Access.WEB}
    assert delivery == {"/v1/notifications", "/v1/notifications/report", "/v1/web/session"}
    roles = Roles(frozenset({0}), observer="games")
    assert roles.caller(GAMES).is_web_service
    own = roles.caller(Owner(0, 0, "root"))
    assert own.is_web_service
    assert in_role(own, wire.OBSERVER).is_web_service, "a user's own daemon"
    other = roles.caller(Owner(9, 9, "news"))
    assert not other.is_web_service
    assert not in_role(other, wire.OBSERVER).is_web_service
    assert not Roles(frozenset({0}), "games").caller(GAMES).is_web_service, (
        "admins of a group do not"
    )


def test_the_named_user_is_an_observer_whatever_else_it_may_be() -> None:
    roles = Roles(frozenset({5}), "games", "games", observer="games")
    caller = roles.caller(GAMES)
    assert (caller.role, caller.reads_only, caller.admin, caller.trusted) == (
        "observer", True, False, False,
    )  # fmt: skip
    assert not caller.may_see(GAMES), "not even what is its own"
    assert roles.caller(Owner(9, 9, "news")).role == "user"


def test_anybody_may_give_up_rights_and_nobody_gains_any() -> None:
    root = Caller(Owner(0, 0, "root"), admin=True, trusted=True)
    assert in_role(root, None) is root
    lowered = in_role(root, wire.OBSERVER)
    assert (lowered.reads_only, lowered.admin, lowered.may_see(root.owner)) == (True, False, False)
    for role in ("admin", "", "OBSERVER", "x" * 1000):
        with pytest.raises(UserError, match="is not known"):
            in_role(root, role)


def test_the_observer_has_limits_of_its_own() -> None:
    limits = Limits(requests_per_second=1, streams=1, connections=1)
    users = UsersTable(observer_requests_per_second=100.0, observer_streams=3)
    limiter = Limiter(limits, lambda: 0.0, observer_limits(limits, users))
    observer = Caller(GAMES, admin=False).as_observer()
    limiter.observed_by(observer.uid)
    for _ in range(1000):
        limiter.request(observer)
    with pytest.raises(TooMany, match="100 requests a second"):
        limiter.request(observer)
    assert [limiter.connected(5) for _ in range(6)] == [True] * 6
    with contextlib.ExitStack() as streams:
        for _ in range(3):
            streams.enter_context(limiter.stream(observer))
        with pytest.raises(TooMany, match="3 requests that follow"):
            streams.enter_context(limiter.stream(observer))


def test_who_only_requests_the_role_keeps_the_limits_of_every_user() -> None:
    limits = Limits(requests_per_second=1)
    limiter = Limiter(limits, lambda: 0.0, observer_limits(limits, UsersTable()))
    lowered = in_role(Caller(GAMES, admin=False), wire.OBSERVER)
    for _ in range(10):
        limiter.request(lowered)
    with pytest.raises(TooMany, match="1 requests a second"):
        limiter.request(lowered)


def test_a_uid_that_turns_out_to_be_the_observers_starts_with_its_limits() -> None:
    limits = Limits(requests_per_second=1)
    limiter = Limiter(limits, lambda: 0.0, observer_limits(limits, UsersTable()))
    while limiter.connected(5):
        pass
    limiter.observed_by(5)
    assert limiter.connected(5)
