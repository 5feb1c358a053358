"""Logins to the pages: a token works once and for a time, a session while it is used."""

from __future__ import annotations

import asyncio

import pytest

from launcher import wire
from launcher.core.model.job import Owner
from launcher.daemon.api.routes import ROUTES
from launcher.daemon.api.web_routes import WITH_SESSION
from launcher.daemon.users import web_sessions
from launcher.daemon.users.accounts import Accounts
from launcher.daemon.users.identity import Caller, Roles, in_session
from launcher.daemon.users.web_sessions import (
    IDLE_SECONDS,
    MOST_SESSIONS,
    MOST_TOKENS,
    TOKEN_SECONDS,
    WebSessions,
)
from launcher.errors import NotAllowed, TooMany


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


def test_a_token_becomes_one_session_of_its_user_and_no_second_one() -> None:
    sessions = WebSessions(Clock())
    token = sessions.token(7)
    session, uid = sessions.log_in(token)
    assert (uid, sessions.uid_of(session)) == (7, 7)
    assert len({token, session}) == 2
    assert min(len(token), len(session)) >= 43, "256 bits"
    with pytest.raises(NotAllowed, match="it was used") as refused:
        sessions.log_in(token)
    assert "launch dashboard" in (refused.value.fix or "")


@pytest.mark.parametrize("secret", ["", "x", "a" * 43, "\ud800"])
def test_what_was_never_issued_is_neither_a_token_nor_a_session(secret: str) -> None:
    sessions = WebSessions(Clock())
    sessions.log_in(sessions.token(7))
    with pytest.raises(NotAllowed):
        sessions.log_in(secret)
    with pytest.raises(NotAllowed):
        sessions.uid_of(secret)


def test_a_session_is_no_token_and_a_token_no_session() -> None:
    sessions = WebSessions(Clock())
    token = sessions.token(7)
    with pytest.raises(NotAllowed):
        sessions.uid_of(token)
    session, _ = sessions.log_in(token)
    with pytest.raises(NotAllowed):
        sessions.log_in(session)


def test_a_token_is_too_old_after_ten_minutes() -> None:
    clock = Clock()
    sessions = WebSessions(clock)
    first, second = sessions.token(7), sessions.token(7)
    clock.time += TOKEN_SECONDS
    sessions.log_in(first)
    clock.time += 1
    with pytest.raises(NotAllowed, match="older than 10 minutes"):
        sessions.log_in(second)


def test_a_session_lasts_while_it_is_used() -> None:
    clock = Clock()
    sessions = WebSessions(clock)
    session, _ = sessions.log_in(sessions.token(7))
    for _ in range(3):
        clock.time += IDLE_SECONDS
        assert sessions.uid_of(session) == 7
    clock.time += IDLE_SECONDS + 1
    with pytest.raises(NotAllowed, match="the session is over"):
        sessions.uid_of(session)


def test_a_session_is_over_after_logging_out() -> None:
    sessions = WebSessions(Clock())
    session, _ = sessions.log_in(sessions.token(7))
    sessions.log_out("another")
    assert sessions.uid_of(session) == 7
    sessions.log_out(session)
    with pytest.raises(NotAllowed):
        sessions.uid_of(session)


def test_a_user_has_few_tokens_and_sessions_and_new_ones_replace_old_ones() -> None:
    sessions = WebSessions(Clock())
    other = sessions.token(8)
    tokens = [sessions.token(7) for _ in range(MOST_TOKENS + 1)]
    with pytest.raises(NotAllowed):
        sessions.log_in(tokens[0])
    for token in tokens[1:]:
        sessions.log_in(token)
    assert sessions.log_in(other)[1] == 8
    made = [sessions.log_in(sessions.token(9))[0] for _ in range(MOST_SESSIONS)]
    assert sessions.uid_of(made[0]) == 9, "now it was used after the second one"
    sessions.log_in(sessions.token(9))
    assert sessions.uid_of(made[0]) == 9
    with pytest.raises(NotAllowed):
        sessions.uid_of(made[1])


def test_all_users_together_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_sessions, "MOST_IN_ALL", 3)
    clock = Clock()
    sessions = WebSessions(clock)
    for uid in range(3):
        sessions.token(uid)
    with pytest.raises(TooMany):
        sessions.token(4)
    clock.time += TOKEN_SECONDS + 1
    sessions.token(4)
    assert len(sessions._tokens) == 1, "what is over is dropped"


def test_nothing_that_is_kept_is_a_token_or_a_session() -> None:
    sessions = WebSessions(Clock())
    token, (session, _) = sessions.token(7), sessions.log_in(sessions.token(7))
    kept = repr((sessions._tokens, sessions._sessions))
    assert token not in kept
    assert session not in kept


ROOT, NOBODY = Owner(0, 0, "root"), Owner(65534, 65534, "nobody")


def test_only_the_user_of_the_web_service_and_the_daemons_own_may_use_a_session() -> None:
    roles = Roles(frozenset({0}), observer="nobody")
    user = Caller(Owner(7, 7, "lp"), admin=False)
    for sender in (roles.caller(NOBODY), roles.caller(ROOT), roles.caller(NOBODY).as_observer()):
        found = in_session(sender, user, "secret")
        assert (found.uid, found.role, found.reads_only) == (7, "user via web", False)
        assert not found.is_web_service
        assert "secret" not in repr(found)
    other = roles.caller(Owner(8, 8, "mail"))
    with pytest.raises(NotAllowed, match="mail does not serve pages"):
        in_session(other, user, "secret")


def test_a_request_with_a_session_has_the_rights_that_its_user_has_now() -> None:
    async def body() -> None:
        accounts = Accounts(Roles(frozenset({0}), observer="nobody"))
        sender = await accounts.caller(NOBODY.uid)
        session, _ = accounts.web_sessions.log_in(accounts.web_sessions.token(0))
        headers = {wire.SESSION_HEADER: session, wire.ROLE_HEADER: wire.OBSERVER}
        caller = await accounts.in_role(sender, headers)
        assert (caller.owner.name, caller.admin, caller.role) == ("root", True, "admin via web")
        with pytest.raises(NotAllowed, match="the session is over"):
            await accounts.in_role(sender, {wire.SESSION_HEADER: "x"})
        assert (await accounts.in_role(sender, {wire.ROLE_HEADER: wire.OBSERVER})).reads_only
        accounts.close()

    asyncio.run(body())


def test_a_session_may_request_what_pages_need_and_nothing_that_starts_a_command() -> None:
    every = {f"{route.method} {route.path}" for route in ROUTES}
    assert every > WITH_SESSION
    posts = {each.removeprefix("POST ") for each in WITH_SESSION if each.startswith("POST")}
    assert posts == {
        "/v1/jobs/{ref}/cancel", "/v1/jobs/{ref}/hold", "/v1/jobs/{ref}/release", "/v1/jobs/retry",
        "/v1/jobs/{ref}/requeue", "/v1/jobs/{ref}/edit",
        "/v1/slices/{ref}/drain", "/v1/web/logout",
    }  # fmt: skip
