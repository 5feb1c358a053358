"""Logging in, and forms: from pages of this service and their sessions alone."""

from __future__ import annotations

import json

import pytest

from launcher import wire
from launcher.web.login import form_token
from tests.unit.client.stub_daemon import Json, StubDaemon, job_view
from tests.unit.web.daemon_replies import (
    COOKIE,
    SESSION,
    answer_array,
    answer_login,
    answer_overview,
    detail_of,
    element_view,
)
from tests.unit.web.service import Answer, Service, on, parsed

FORM = f"form={form_token(SESSION)}"
FORMS = (
    "/jobs/8/cancel", "/jobs/8/requeue", "/jobs/8/time-limit", "/jobs/8/retry-failed",
    "/slices/0/drain", "/logout",
)  # fmt: skip


@pytest.fixture
def daemon(daemon: StubDaemon) -> StubDaemon:
    answer_login(daemon)
    answer_overview(daemon)
    for action in ("cancel", "hold", "release", "requeue", "edit"):
        daemon.on("POST", f"/v1/jobs/8/{action}", Json([job_view(id=8)]))
    daemon.on("POST", "/v1/jobs/retry", Json([job_view(id=8)]))
    daemon.on("POST", "/v1/slices/0/drain", Json([]))
    return daemon


async def post(
    web: Service, path: str, body: str, *lines: str, origin: str | None = "", host: str = ""
) -> Answer:
    """Return the reply to a form, as a browser sends it from a page of this service."""
    host = host or f"127.0.0.1:{web.port}"
    origin = f"http://{host}" if origin == "" else origin
    head = [f"POST {path} HTTP/1.1", f"Host: {host}", "Connection: close", *lines]
    head += [f"Origin: {origin}"] if origin is not None else []
    head += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]
    return parsed(await web.send("\r\n".join([*head, "", body]).encode()))


def changes(daemon: StubDaemon) -> list[str]:
    """Return the changes that the daemon was asked for."""
    return [each for each in daemon.did() if each.startswith("POST") and "/web/" not in each]


def test_a_token_becomes_a_cookie_that_no_script_and_no_other_site_gets(daemon: StubDaemon) -> None:
    async def body(web: Service) -> None:
        answer = await post(web, "/login", "token=abc")
        assert (answer.status, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith(f"launcher_session={SESSION};")
        for word in ("HttpOnly", "SameSite=Strict", "Path=/"):
            assert word in cookie
        assert "Domain" not in cookie
        assert "Secure" not in cookie
        (asked,) = daemon.asked
        assert asked.body == {"token": "abc"}
        assert asked.headers[wire.ROLE_HEADER] == wire.OBSERVER

    on(daemon, body)


def test_behind_https_the_cookie_is_secure_and_of_this_host_alone(daemon: StubDaemon) -> None:
    async def body(web: Service) -> None:
        proxied = "X-Forwarded-Proto: https"
        host = "gpu.example.org"
        answer = await post(
            web, "/login", "token=abc", proxied, origin=f"https://{host}", host=host
        )
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-launcher_session=")
        assert "Secure" in cookie
        page = await web.get("/", "GET", proxied, COOKIE.replace("launcher", "__Host-launcher"))
        assert "Log out" in page.body
        assert "Log out" not in (await web.get("/", "GET", proxied, COOKIE)).body

    on(daemon, body, allowed_hosts=("gpu.example.org",))


def test_a_token_that_the_daemon_refuses_is_a_sentence_and_no_cookie(daemon: StubDaemon) -> None:
    async def body(web: Service) -> None:
        answer = await post(web, "/login", "token=abc")
        assert answer.status == 403
        assert "it was used" in answer.body
        assert "set-cookie" not in answer.headers
        for nonsense in ("", "token=", f"token={'x' * 300}", "other=1"):
            assert (await post(web, "/login", nonsense)).status == 400

    told = {"kind": "not-allowed", "message": "the link is not valid: it was used"}
    daemon.on("POST", "/v1/web/session", Json(told, 403))
    on(daemon, body)


def test_a_logged_in_user_is_served_with_the_session_beside_the_services_own_role(
    daemon: StubDaemon,
) -> None:
    async def body(web: Service) -> None:
        answer = await web.get("/", "GET", COOKIE)
        assert "alice" in answer.body
        assert "Log out" in answer.body
        asked = [each for each in daemon.asked if each.path == "/v1/slices"]
        assert [each.headers.get(wire.SESSION_HEADER) for each in asked] == [SESSION]
        assert asked[0].headers[wire.ROLE_HEADER] == wire.OBSERVER
        await web.get("/")
        assert wire.SESSION_HEADER not in daemon.asked[-1].headers, "a guest's is another one"

    on(daemon, body)


@pytest.mark.parametrize("cookie", ["", "short", "x" * 500, SESSION + "%0d%0aX: y", "a b" * 20])
def test_a_cookie_that_cannot_be_a_session_is_a_guests(daemon: StubDaemon, cookie: str) -> None:
    async def body(web: Service) -> None:
        answer = await web.get("/", "GET", f"Cookie: launcher_session={cookie}")
        assert "Log out" not in answer.body
        assert not [each for each in daemon.asked if wire.SESSION_HEADER in each.headers]

    on(daemon, body)


def test_a_session_that_is_over_is_a_guest_and_needs_a_login(daemon: StubDaemon) -> None:
    async def body(web: Service) -> None:
        assert "Log in" in (await web.get("/", "GET", COOKIE)).body
        answer = await web.get("/jobs/8/log", "GET", COOKIE)
        assert (answer.status, answer.headers["location"]) == (303, "/login")
        answer = await post(web, "/jobs/8/cancel", FORM, COOKIE)
        assert (answer.status, answer.headers["location"]) == (303, "/login")
        assert changes(daemon) == []

    told = {"kind": "not-allowed", "message": "the session is over"}
    daemon.on("GET", "/v1/web/session", Json(told, 403))
    on(daemon, body)


def test_forms_of_the_own_page_change_jobs_and_slices(daemon: StubDaemon) -> None:
    async def body(web: Service) -> None:
        for action in ("cancel", "hold", "release", "requeue", "retry", "retry-failed"):
            answer = await post(web, f"/jobs/8/{action}", FORM, COOKIE)
            assert (answer.status, answer.headers["location"]) == (303, "/jobs/8"), action
        for action in ("drain", "undrain"):
            assert (await post(web, f"/slices/0/{action}", FORM, COOKIE)).status == 303
        assert changes(daemon) == [
            "POST /v1/jobs/8/cancel", "POST /v1/jobs/8/hold", "POST /v1/jobs/8/release",
            "POST /v1/jobs/8/requeue", "POST /v1/jobs/retry", "POST /v1/jobs/retry",
            "POST /v1/slices/0/drain", "POST /v1/slices/0/drain",
        ]  # fmt: skip
        sent = [each for each in daemon.asked if each.path == "/v1/jobs/8/cancel"]
        assert sent[0].headers[wire.SESSION_HEADER] == SESSION
        retried = [each.body for each in daemon.asked if each.path == "/v1/jobs/retry"]
        assert retried == [
            {"refs": ["8"], "failed": False}, {"refs": ["8"], "failed": True},
        ]  # fmt: skip
        for path in ("/jobs/8/signal", "/jobs/8/edit", "/slices/0/x"):
            assert (await post(web, path, FORM, COOKIE)).status == 404, path

    on(daemon, body)


@pytest.mark.parametrize(
    ("lines", "form", "origin"),
    [
        ([], FORM, "http://evil.example"),
        ([], FORM, "http://127.0.0.1:1"),
        ([], FORM, "null"),
        ([], FORM, None),
        (["Sec-Fetch-Site: cross-site"], FORM, ""),
        (["Sec-Fetch-Site: same-site"], FORM, ""),
        (["Sec-Fetch-Site: none"], FORM, ""),
        ([], "", ""),
        ([], "form=", ""),
        ([], f"form={SESSION}", ""),
        ([], f"form={form_token('another')}", ""),
        ([], "form=%C3%A4", ""),
    ],
)
def test_a_form_from_elsewhere_changes_nothing(
    daemon: StubDaemon, lines: list[str], form: str, origin: str | None
) -> None:
    async def body(web: Service) -> None:
        for path in FORMS:
            answer = await post(web, path, form, COOKIE, *lines, origin=origin)
            assert answer.status == 403, path
        assert changes(daemon) == []
        assert "POST /v1/web/logout" not in daemon.did()

    on(daemon, body)


def test_a_login_from_another_site_is_refused(daemon: StubDaemon) -> None:
    async def body(web: Service) -> None:
        for origin in ("http://evil.example", None, "null"):
            assert (await post(web, "/login", "token=abc", origin=origin)).status == 403
        assert daemon.asked == []

    on(daemon, body)


def test_pages_are_not_for_other_origins_and_changes_not_by_get(daemon: StubDaemon) -> None:
    async def body(web: Service) -> None:
        answer = await web.get("/", "GET", COOKIE, "Origin: http://evil.example")
        assert answer.status == 403
        for path in FORMS:
            answer = await web.get(path, "GET", COOKIE)
            assert (answer.status, answer.headers["allow"]) == (405, "POST"), path
        assert changes(daemon) == []

    on(daemon, body)


def test_another_body_than_a_form_is_refused(daemon: StubDaemon) -> None:
    async def body(web: Service) -> None:
        text = json.dumps({"form": form_token(SESSION)})
        host = f"127.0.0.1:{web.port}"
        head = ["POST /jobs/8/cancel HTTP/1.1", f"Host: {host}", f"Origin: http://{host}", COOKIE]
        head += ["Content-Type: text/plain", f"Content-Length: {len(text)}", "Connection: close"]
        answer = parsed(await web.send("\r\n".join([*head, "", text]).encode()))
        assert (answer.status, changes(daemon)) == (400, [])

    on(daemon, body)


@pytest.mark.parametrize("text", [b"token=\xff", b"a=&" * 100 + b"token=abc"])
def test_a_guests_form_that_no_page_sends_is_refused_with_a_sentence(
    daemon: StubDaemon, text: bytes
) -> None:
    async def body(web: Service) -> None:
        answer = parsed(await web.send(login(web, "", text)))
        assert (answer.status, daemon.asked) == (400, [])
        assert "not a form of this service" in answer.body

    on(daemon, body)


@pytest.mark.parametrize("charset", ["nonsense", "punycode", "utf-16"])
def test_a_form_is_utf_8_whatever_its_sender_says(daemon: StubDaemon, charset: str) -> None:
    async def body(web: Service) -> None:
        answer = parsed(await web.send(login(web, f"; charset={charset}", b"token=abc")))
        assert answer.status == 303

    on(daemon, body)


def login(web: Service, charset: str, text: bytes) -> bytes:
    """Return a login as any program can send it."""
    host = f"127.0.0.1:{web.port}"
    head = ["POST /login HTTP/1.1", f"Host: {host}", f"Origin: http://{host}", "Connection: close"]
    head += [f"Content-Type: application/x-www-form-urlencoded{charset}"]
    head += [f"Content-Length: {len(text)}"]
    return "\r\n".join([*head, "", ""]).encode() + text


def test_logging_out_ends_the_session_at_the_daemon_and_in_the_browser(daemon: StubDaemon) -> None:
    async def body(web: Service) -> None:
        answer = await post(web, "/logout", FORM, COOKIE)
        assert answer.status == 303
        assert "Max-Age=0" in answer.headers["set-cookie"]
        assert "POST /v1/web/logout" in daemon.did()

    on(daemon, body)


def test_a_time_limit_is_changed_as_people_write_it(daemon: StubDaemon) -> None:
    async def body(web: Service) -> None:
        for text, seconds in (("1h30m", 5400.0), ("none", 0.0), ("%20None%20", 0.0)):
            answer = await post(web, "/jobs/8/time-limit", f"{FORM}&limit={text}", COOKIE)
            assert (answer.status, answer.headers["location"]) == (303, "/jobs/8"), text
            asked = daemon.asked[-1]
            assert (asked.path, asked.body) == (
                "/v1/jobs/8/edit",
                {"priority": None, "time_limit": seconds, "gpus": None, "hold": None},
            )
        sent = len(changes(daemon))
        for text, told in (
            ("90", "has no unit: write 90s, 90m or 90h"), ("", "not a valid duration"),
            ("0s", "write none for a job without a limit"), ("x" * 9000, "not a valid duration"),
        ):  # fmt: skip
            answer = await post(web, "/jobs/8/time-limit", f"{FORM}&limit={text}", COOKIE)
            assert (answer.status, told in answer.body) == (400, True), text
        assert len(changes(daemon)) == sent

    on(daemon, body)


def test_a_change_of_another_users_job_is_refused_as_the_daemon_says(daemon: StubDaemon) -> None:
    async def body(web: Service) -> None:
        for path in ("/jobs/9/requeue", "/jobs/9/time-limit"):
            answer = await post(web, path, f"{FORM}&limit=1h", COOKIE)
            assert (answer.status, "job 9 belongs to bob" in answer.body) == (403, True), path

    told = {"kind": "not-allowed", "message": "job 9 belongs to bob"}
    for action in ("requeue", "edit"):
        daemon.on("POST", f"/v1/jobs/9/{action}", Json(told, 403))
    on(daemon, body)


def test_a_guest_who_sends_a_form_is_sent_to_the_login(daemon: StubDaemon) -> None:
    async def body(web: Service) -> None:
        for path in FORMS:
            answer = await post(web, path, FORM)
            assert (answer.status, answer.headers["location"]) == (303, "/login"), path
        assert changes(daemon) == []

    on(daemon, body)


def test_buttons_are_for_the_owner_and_admins(daemon: StubDaemon) -> None:
    async def shown(web: Service, path: str, *lines: str) -> list[str]:
        text = (await web.get(path, "GET", *lines)).body
        words = (
            "cancel", "hold", "release", "requeue", "retry", "retry-failed", "time-limit", "drain",
        )  # fmt: skip
        return [word for word in words if f'/{word}"' in text]

    async def body(web: Service) -> None:
        assert await shown(web, "/jobs/8", COOKIE) == ["cancel", "hold", "time-limit"]
        assert await shown(web, "/jobs/7", COOKIE) == ["cancel", "requeue", "time-limit"]
        assert await shown(web, "/jobs/12", COOKIE) == [
            "cancel", "hold", "release", "retry-failed",
        ]  # fmt: skip
        assert await shown(web, "/jobs/12") == []
        assert await shown(web, "/jobs/9", COOKIE) == []
        assert await shown(web, "/jobs/8") == []
        assert await shown(web, "/", COOKIE) == []
        answer_login(daemon, user="root", role="admin")
        web.context.logins.forget(SESSION)
        assert await shown(web, "/jobs/10", COOKIE) == ["cancel", "release", "time-limit"]
        assert await shown(web, "/jobs/11", COOKIE) == ["retry"]

    answer_array(daemon, element_view(0), counts={"PENDING": 5, "FAILED": 1})
    for job in (
        job_view(id=7, state="RUNNING", time_limit=3600.0),
        job_view(id=8),
        job_view(id=9, user="bob"),
        job_view(id=10, reason="JobHeldUser"),
        job_view(id=11, state="DONE", outcome="FAILED"),
    ):
        daemon.on("GET", f"/v1/jobs/{job.id}", Json(detail_of(job)))
    on(daemon, body)
