"""The pages of `launch web` in a real browser, before a real daemon."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from launcher import Client
from launcher.daemon.loop.clock import rfc3339
from launcher.wire import ArrayRequest, EditRequest, GpuRequest, JobSpec
from tests.acceptance.web_service import USER, user, web
from tests.conftest import MakeDaemon
from tests.support.browser import DESKTOP, PHONE, Tab, chromium
from tests.support.daemon import BUSYBOX, CONFIG, DaemonProcess, as_user
from tests.support.wait import wait_until
from tests.support.web import WebProcess

__all__ = ["user", "web"]
MOST_BYTES = 300_000
WAITING = 2000
OTHER_UID = 5
"""Of the user `games`, whom Debian's base system has."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def daemon(make_daemon: MakeDaemon) -> DaemonProcess:
    return make_daemon(config=f'{CONFIG}[users]\nobserver = "{USER}"\n').start()


def link(daemon: DaemonProcess, web: WebProcess) -> str:
    """Return the link of `launch dashboard`, with the port of this web service."""
    done = daemon.cli("dashboard")
    assert done.returncode == 0, done.stderr
    assert re.search(r"ssh -N -L 8080:127\.0\.0\.1:8080 \S+", done.stderr)
    return done.stdout.strip().replace("http://127.0.0.1:8080", web.url)


def test_a_job_is_followed_from_its_submit_to_its_end_without_a_reload(
    daemon: DaemonProcess, web: WebProcess, browser: Browser
) -> None:
    tab = Tab(browser)
    page = tab.page
    page.goto(web.url)
    tab.live()
    page.evaluate("window.loadedOnce = true")
    expect(page.locator("#running")).to_contain_text("Nothing runs.")
    job = daemon.submit("sh", "-c", "sleep 3", name="secret")
    expect(page.locator(f"#running-{job.id}")).to_be_visible()
    expect(page.locator("#gpu-0")).to_contain_text("leased")
    assert "secret" not in page.content(), "names are not for guests"
    daemon.done(job)
    expect(page.locator("#running")).to_contain_text("Nothing runs.")
    assert page.evaluate("window.loadedOnce") is True
    assert tab.complaints == []
    tab.close()


def test_a_user_logs_in_once_sees_output_live_and_cancels_by_the_keyboard_alone(
    daemon: DaemonProcess, web: WebProcess, browser: Browser
) -> None:
    job = daemon.submit("sh", "-c", "echo '<b>hello</b>'; sleep 600", name="train")
    daemon.until(job, "RUNNING")
    guest, tab = Tab(browser), Tab(browser)
    guest.page.goto(f"{web.url}/jobs/{job.id}")
    assert guest.page.locator("#do-cancel").count() == 0
    assert guest.page.locator("#log").count() == 0
    address, page = link(daemon, web), tab.page
    page.goto(address)
    page.wait_for_url(f"{web.url}/")
    expect(page.locator("header")).to_contain_text("root (admin)")
    page.goto(f"{web.url}/jobs/{job.id}")
    expect(page.locator("#log")).to_contain_text("<b>hello</b>")
    page.keyboard.press("Tab")
    expect(page.locator("a.skip")).to_be_focused()
    for _ in range(30):
        if page.evaluate("document.activeElement.id") == "ask-cancel":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("#do-cancel")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#job-state")).to_contain_text("CANCELLED")
    line = daemon.client.audit(limit=20)
    assert ("root", "admin via web", "POST /v1/jobs/{ref}/cancel") in [
        (each.user, each.role, each.route) for each in line
    ]
    guest.page.goto(address)
    expect(guest.page.locator("[role=alert]")).to_contain_text("it was used")
    page.get_by_role("button", name="Log out").click()
    expect(page.locator("header")).to_contain_text("Log in")
    guest.close()
    tab.close()


def test_a_restart_of_the_daemon_ends_sessions_and_pages_find_the_next_one(
    daemon: DaemonProcess, web: WebProcess, browser: Browser
) -> None:
    tab = Tab(browser)
    page = tab.page
    page.goto(link(daemon, web))
    page.wait_for_url(f"{web.url}/")
    tab.live()
    daemon.kill()
    expect(page.locator("#connection")).to_contain_text("trying again")
    daemon.start()
    expect(page.locator("header")).to_contain_text("Log in")
    tab.live()
    tab.close()


def test_pages_can_be_used_by_everybody_in_both_colours_and_sizes(
    daemon: DaemonProcess, web: WebProcess, browser: Browser
) -> None:
    job = daemon.submit("sleep", "600", name="train")
    gang = daemon.submit("sleep", "9", gpus=GpuRequest(kind="profile", profile="1g.6gb", count=4))
    daemon.until(job, "RUNNING")
    for size, scheme in itertools.product((PHONE, DESKTOP), ("light", "dark")):
        tab = Tab(browser, viewport=size, color_scheme=scheme)
        page = tab.page
        page.goto(f"{web.url}/login")
        assert tab.violations() == []
        page.goto(link(daemon, web))
        page.wait_for_url(f"{web.url}/")
        for path in ("/", f"/jobs/{job.id}", f"/jobs/{gang.id}", f"/jobs/{job.id}/log", "/usage"):
            page.goto(web.url + path)
            assert tab.violations() == [], (path, scheme)
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= size["width"], f"{path} is {wide} pixels wide"
        page.goto(web.url)
        row = page.locator("#waiting tr", has=page.locator(f"#waiting-{gang.id}"))
        expect(row).to_contain_text(re.compile(r"in \d+h|in \dd"))  # when the first one must end
        assert tab.complaints == []
        tab.close()


def test_without_a_script_the_pages_are_readable_and_forms_work(
    daemon: DaemonProcess, web: WebProcess, browser: Browser
) -> None:
    job = daemon.submit("sh", "-c", "echo hello; sleep 600")
    daemon.until(job, "RUNNING")
    tab = Tab(browser, java_script_enabled=False)
    page = tab.page
    token = link(daemon, web).partition("#")[2]
    page.goto(f"{web.url}/login")
    page.get_by_label("Or enter what stands behind").fill(token)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("header")).to_contain_text("root")
    page.goto(f"{web.url}/jobs/{job.id}/log?q=HELL")
    expect(page.locator("pre")).to_contain_text("1: hello")
    page.goto(f"{web.url}/jobs/{job.id}")
    page.locator("#ask-cancel").click()
    page.locator("#do-cancel").click()
    daemon.done(job)
    tab.close()


def array_of(daemon: DaemonProcess, command: str, size: int) -> int:
    """Queue an array and return its id."""
    spec = JobSpec(
        name="sweep",
        image=BUSYBOX,
        command=["sh", "-c", command],
        gpus=GpuRequest(kind="profile", profile="1g.6gb"),
        array=ArrayRequest(indices=list(range(size))),
    )
    first = daemon.client.submit([spec])[0]
    assert first.array is not None
    return int(first.array["id"])


def test_an_array_is_followed_live_failures_first_and_those_are_retried(
    daemon: DaemonProcess, web: WebProcess, browser: Browser
) -> None:
    tab = Tab(browser)
    page = tab.page
    page.goto(link(daemon, web))
    page.wait_for_url(f"{web.url}/")
    number = array_of(daemon, "[ $LAUNCHER_ARRAY_INDEX != 3 ] && sleep 600", 8)
    page.locator(f"#array-{number}").click()
    tab.live()
    page.evaluate("window.loadedOnce = true")
    expect(page.locator("#part-failed")).to_have_text("1 failed")
    expect(page.locator("#array-elements tbody tr").first).to_contain_text(f"{number}[3]")
    expect(page.locator("#part-running")).to_have_text("4 running")
    assert page.evaluate("window.loadedOnce") is True
    assert tab.violations() == []
    page.locator("#do-retry-failed").click()
    expect(page.locator("#part-failed")).to_have_text("0 failed")
    page.locator("#part-waiting").click()
    expect(page.locator("#elements-title")).to_have_text("Waiting elements")
    page.locator("#array-elements a").first.click()
    expect(page.locator("#job-state")).to_contain_text("PENDING")
    page.locator("#array").click()
    page.locator("#ask-cancel").click()
    page.locator("#do-cancel").click()
    expect(page.locator("#part-failed")).to_have_text("8 failed")
    assert tab.complaints == []
    tab.close()


def test_a_running_job_is_requeued_and_its_time_limit_is_changed(
    daemon: DaemonProcess, web: WebProcess, browser: Browser
) -> None:
    job = daemon.submit("sleep", "600")
    daemon.until(job, "RUNNING")
    tab = Tab(browser)
    page = tab.page
    page.goto(link(daemon, web))
    page.wait_for_url(f"{web.url}/")
    page.goto(f"{web.url}/jobs/{job.id}")
    page.get_by_label("Time limit").fill("90")
    page.locator("#do-time-limit").click()
    expect(page.locator(".notice")).to_contain_text("has no unit: write 90s, 90m or 90h")
    page.goto(f"{web.url}/jobs/{job.id}")
    page.get_by_label("Time limit").fill("90m")
    page.locator("#do-time-limit").click()
    expect(page.locator("#job-state")).to_contain_text("1h30m")
    page.locator("#ask-requeue").click()
    page.locator("#do-requeue").click()
    wait_until(lambda: daemon.client.show(job.id).job.attempt == 2)
    routes = {(each.role, each.route) for each in daemon.client.audit(limit=20)}
    assert ("admin via web", "POST /v1/jobs/{ref}/requeue") in routes
    assert ("admin via web", "POST /v1/jobs/{ref}/edit") in routes
    tab.close()


def test_what_a_reader_types_opens_and_selects_outlives_updates(
    daemon: DaemonProcess, web: WebProcess, browser: Browser
) -> None:
    job = daemon.submit("true", hold=True, begin=rfc3339(time.time() + 3600))
    tab = Tab(browser)
    page = tab.page
    page.goto(link(daemon, web))
    page.wait_for_url(f"{web.url}/")
    page.goto(f"{web.url}/jobs/{job.id}")
    image = page.locator("#job-state dd.mono").filter(has_text="busybox")
    image.evaluate("shown => getSelection().selectAllChildren(shown)")
    selected = page.evaluate("getSelection().toString()")
    assert "busybox" in selected
    tab.live()
    daemon.client.edit(str(job.id), EditRequest(priority=7))
    expect(page.locator("#job-state")).to_contain_text("7")
    assert page.evaluate("getSelection().toString()") == selected
    page.locator("#ask-cancel").click()
    page.get_by_label("Time limit").fill("90")
    page.keyboard.press("ArrowLeft")
    daemon.client.release(str(job.id))
    expect(page.locator("#do-hold")).to_be_visible()
    page.keyboard.type("5")
    expect(page.get_by_label("Time limit")).to_have_value("950")
    expect(page.locator("#do-cancel")).to_be_visible()
    assert tab.complaints == []
    tab.close()


SEND = """([path, limit]) => {
  const form = document.querySelector("header form").elements.form.value;
  const body = new URLSearchParams({form, limit});
  return fetch(path, {method: "POST", body, redirect: "manual"}).then((reply) => reply.status);
}"""


def test_a_user_sees_no_forms_on_another_users_job_and_their_posts_are_refused(
    daemon: DaemonProcess, web: WebProcess, browser: Browser
) -> None:
    job = daemon.submit("sleep", "600")
    daemon.until(job, "RUNNING")
    with as_user(OTHER_UID):
        token = Client(str(daemon.socket)).web_token().token
    tab = Tab(browser)
    page = tab.page
    page.goto(f"{web.url}/login#{token}")
    page.wait_for_url(f"{web.url}/")
    page.goto(f"{web.url}/jobs/{job.id}")
    assert page.locator("#job-actions form").count() == 0
    for action in ("cancel", "requeue", "time-limit"):
        assert page.evaluate(SEND, [f"/jobs/{job.id}/{action}", "1h"]) == 403, action
    assert daemon.client.show(job.id).job.state == "RUNNING"
    tab.close()


def test_a_long_queue_is_a_small_page(
    daemon: DaemonProcess, web: WebProcess, browser: Browser
) -> None:
    spec = JobSpec(
        name="train",
        image=BUSYBOX,
        command=["sleep", "600"],
        gpus=GpuRequest(kind="profile", profile="1g.6gb"),
        hold=True,
    )
    for _ in range(WAITING // 1000):
        daemon.client.submit([spec] * 1000)
    tab = Tab(browser)
    tab.page.goto(web.url)
    expect(tab.page.locator("#waiting-title")).to_contain_text(f"Waiting ({WAITING})")
    tab.live()
    wait_until(lambda: tab.bytes > 1000)
    assert tab.bytes < MOST_BYTES
    tab.close()
