"""The pages: every text of the daemon stands there as text, whatever it is."""

from __future__ import annotations

import asyncio
import re
from html.parser import HTMLParser

from launcher import wire
from launcher.text.safe_text import UNSEEN
from launcher.web import bounds
from launcher.web.headers import PAGE_POLICY
from launcher.web.pages import static_files
from launcher.wire import END, Frame
from tests.unit.cli.queue_views import array_view
from tests.unit.client.stub_daemon import Json, Stream, StubDaemon, head, job_view, out
from tests.unit.web.daemon_replies import (
    COOKIE,
    answer_array,
    answer_login,
    answer_overview,
    detail_of,
    element_view,
)
from tests.unit.web.service import Service, on

EVIL = (
    "\x1b]0;x\x07\u202e<script>alert(1)</script>\x00\"'<img src=x onerror=y>\ufeff{{ 1234*1000 }}"
)
DANGEROUS = re.compile(rf"(?![\n\t])[\x00-\x1f\x7f-\x9f{UNSEEN}]")
LAST = Frame(END, 0, b"")


class Tags(HTMLParser):
    """The tags of a page and their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def must_be_harmless(text: str) -> None:
    """Fail if a page has a script, a style or an image that is not the service's own."""
    assert not DANGEROUS.search(text.replace("\r\n", "\n"))
    assert "1234000" not in text
    tags = Tags(text).found
    foreign = {"img", "iframe", "object", "style", "base", "embed"}
    assert foreign.isdisjoint(tag for tag, _ in tags)
    for tag, attributes in tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in ("src", "href", "action", "data-live", "data-log"):
            assert (attributes.get(name) or "/").startswith(("/", "#")), (tag, attributes)
    scripts = [static_files.url(name) for name in ("idiomorph-0.8.0.min.js", "app.js")]
    assert [a["src"] for tag, a in tags if tag == "script"] == scripts


def test_hostile_texts_are_text_on_the_overview(daemon: StubDaemon) -> None:
    async def body(web: Service) -> None:
        answer = await web.get("/")
        assert answer.status == 200
        must_be_harmless(answer.body)
        assert answer.body.count("&lt;script&gt;") > 5
        assert answer.headers["content-security-policy"] == PAGE_POLICY
        assert "unsafe" not in PAGE_POLICY

    answer_overview(daemon, EVIL)
    on(daemon, body)


def test_hostile_texts_are_text_on_the_page_of_a_job(daemon: StubDaemon) -> None:
    job = job_view(id=8, user=EVIL, name=EVIL, message=EVIL, reason=EVIL, image=EVIL, state="DONE",
                   outcome="FAILED")  # fmt: skip
    spec = {"name": EVIL, "image": EVIL, "command": [EVIL]}
    attempt = {"attempt": 1, "slices": [EVIL], "container_id": EVIL, "container_name": EVIL,
               "image_id": None, "started_at": EVIL, "ended_at": None, "exit_code": 1, "oom": False,
               "cause": EVIL}  # fmt: skip
    detail = detail_of(
        job,
        spec=spec,
        attempts=[attempt],
        events=[{"at": EVIL, "event": EVIL, "detail": EVIL}],
        blockers=[{"kind": EVIL, "need": EVIL, "have": EVIL, "jobs": []}],
        advice=[{"user": EVIL, "name": EVIL, "kind": EVIL, "jobs": 1}],
    )

    async def body(web: Service) -> None:
        answer = await web.get("/jobs/8", "GET", COOKIE)
        assert answer.status == 200
        must_be_harmless(answer.body)
        assert "alert(1)" in answer.body

    answer_login(daemon, user=EVIL)
    daemon.on("GET", "/v1/jobs/8", Json(detail))
    on(daemon, body)


def test_a_page_that_was_opened_by_a_jobs_name_stays_with_that_job(daemon: StubDaemon) -> None:
    async def body(web: Service) -> None:
        answer = await web.get("/jobs/train", "GET", COOKIE)
        paths = re.findall(r"/jobs/[^/\"]+(?=/log/live)|/live/jobs/[^\"]+", answer.body)
        assert paths == ["/live/jobs/16", "/jobs/16"]

    answer_login(daemon)
    found = Json(detail_of(element_view(3), spec={"name": "train", "image": "x"}))
    for ref in ("train", "16"):
        daemon.on("GET", f"/v1/jobs/{ref}", found)
    on(daemon, body)


def test_output_is_text_without_control_sequences_and_can_be_searched(daemon: StubDaemon) -> None:
    lines = ["\x1b[31mred\x1b[0m <b>bold</b>\n", "a needle\n", "\x1b]0;title\x07plain\n"]

    async def body(web: Service) -> None:
        whole = await web.get("/jobs/8/log", "GET", COOKIE)
        must_be_harmless(whole.body)
        assert "red &lt;b&gt;bold&lt;/b&gt;" in whole.body
        assert "title" not in Tags(whole.body).found
        found = await web.get("/jobs/8/log?q=NEEDLE%3Cscript%3E", "GET", COOKIE)
        assert "0 lines have &#39;NEEDLE&lt;script&gt;&#39;" in found.body
        found = await web.get("/jobs/8/log?q=NEEDLE", "GET", COOKIE)
        assert "2: a needle" in found.body
        assert "bold" not in found.body

    answer_login(daemon)
    daemon.on("GET", "/v1/jobs/8/logs", Stream([*map(out, lines), LAST]))
    on(daemon, body)


def test_a_search_keeps_and_counts_the_last_lines_that_a_page_can_have(daemon: StubDaemon) -> None:
    lines = [f"{'x' * (bounds.MOST_LOG_TEXT // 3)} hit {n}\n" for n in range(5)]

    async def body(web: Service) -> None:
        found = (await web.get("/jobs/8/log?q=hit", "GET", COOKIE)).body
        assert "5 lines have &#39;hit&#39;, the last 2 are shown." in found
        assert re.findall(r"hit (\d)", found) == ["3", "4"]
        assert "4: xxx" in found, "no line is cut off at its beginning"

    answer_login(daemon)
    daemon.on("GET", "/v1/jobs/8/logs", Stream([*map(out, lines), LAST]))
    on(daemon, body)


def test_a_download_is_the_output_as_the_job_wrote_it_and_no_page(daemon: StubDaemon) -> None:
    async def body(web: Service) -> None:
        answer = await web.get("/jobs/8/log.txt", "GET", COOKIE)
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["content-disposition"] == 'attachment; filename="job-8.txt"'
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "<script>x</script>" in answer.body

    answer_login(daemon)
    daemon.on("GET", "/v1/jobs/8", Json(detail_of(job_view(id=8))))
    daemon.on("GET", "/v1/jobs/8/logs", Stream([out("<script>x</script>\n"), LAST]))
    on(daemon, body)


def test_a_long_queue_is_counted_and_only_its_head_is_shown(daemon: StubDaemon) -> None:
    async def body(web: Service) -> None:
        answer = await web.get("/")
        assert "Waiting (10000)" in answer.body
        assert answer.body.count('id="waiting-') == bounds.MOST_WAITING_SHOWN + 1  # and its title
        assert len(answer.body) < 100_000
        (asked,) = (each for each in daemon.asked if each.path == "/v1/queue/head")
        assert asked.query == f"most={bounds.MOST_WAITING_SHOWN}"

    answer_overview(daemon)
    jobs = [job_view(id=number) for number in range(100, 300)]
    daemon.on("GET", "/v1/queue/head", head(*jobs, waiting=10_000))
    on(daemon, body)


def test_many_guests_cost_the_daemon_one_request_of_each_kind(daemon: StubDaemon) -> None:
    async def body(web: Service) -> None:
        answers = await asyncio.gather(*(web.get("/") for _ in range(20)))
        assert {answer.status for answer in answers} == {200}
        assert daemon.did().count("GET /v1/queue/head") <= 2, "one a second"

    answer_overview(daemon)
    on(daemon, body)


def test_pages_from_one_address_have_a_rate(daemon: StubDaemon) -> None:
    async def body(web: Service) -> None:
        for _ in range(int(bounds.ALL_PAGES_AT_ONCE)):
            web.context.rates.request("")
        answer = await web.get("/login")
        assert answer.status in (200, 429), "some budget came back meanwhile"
        web.context.rates._all.level = -100.0
        assert (await web.get("/login")).status == 429
        assert (await web.get("/healthz")).status == 200

    on(daemon, body)


def test_static_files_are_kept_by_browsers_and_change_their_names_with_their_contents(
    daemon: StubDaemon,
) -> None:
    async def body(web: Service) -> None:
        for name in ("app.css", "app.js", "icon.svg"):
            answer = await web.get(static_files.url(name))
            assert (answer.status, "immutable" in answer.headers["cache-control"]) == (200, True)
        for path in ("/static/app.js", "/static/..%2Fapp.js", "/static/app.0.css", "/static/"):
            assert (await web.get(path)).status == 404

    on(daemon, body)


def test_a_job_that_does_not_exist_is_a_page_that_says_so(daemon: StubDaemon) -> None:
    async def body(web: Service) -> None:
        answer = await web.get("/jobs/99")
        assert (answer.status, "there is no job 99" in answer.body) == (404, True)
        must_be_harmless(answer.body)

    told = {"kind": "no-such-job", "message": "there is no job 99"}
    daemon.on("GET", "/v1/jobs/99", Json(told, 404))
    on(daemon, body)


def test_hostile_texts_are_text_on_the_page_of_an_array(daemon: StubDaemon) -> None:
    place = {"id": 12, "index": 0, "matrix": {EVIL: EVIL}}
    element = element_view(0, array=place, reason=EVIL, message=EVIL, outcome="FAILED")

    async def body(web: Service) -> None:
        answer = await web.get("/jobs/12", "GET", COOKIE)
        assert answer.status == 200
        must_be_harmless(answer.body)
        assert answer.body.count("alert(1)") > 8

    answer_login(daemon, user=EVIL)
    answer_array(daemon, element, counts={EVIL: 1}, user=EVIL, text=EVIL)
    on(daemon, body)


def test_an_array_of_100_000_elements_is_a_small_page_with_links_both_ways(
    daemon: StubDaemon,
) -> None:
    async def body(web: Service) -> None:
        answer = await web.get("/jobs/12")
        assert "60000 waiting" in answer.body
        assert answer.body.count('id="element-') == bounds.MOST_ELEMENTS_SHOWN
        assert 'href="/jobs/13">12[0]' in answer.body
        assert 'href="/jobs/12?part=failed"' in answer.body
        assert 'data-live="/live/arrays/12"' in answer.body
        assert len(answer.body) < 60_000
        asked = [each.query for each in daemon.asked if each.path.endswith("/array")]
        assert set(asked) == {f"most={bounds.MOST_ELEMENTS_SHOWN}"}
        assert "/v1/jobs" not in {each.path for each in daemon.asked}, "a list of all elements"
        await web.get("/jobs/12?part=failed&after=40")
        assert daemon.asked[-1].query == f"part=failed&after=40&most={bounds.MOST_ELEMENTS_SHOWN}"
        page = await web.get("/jobs/12?part=failed&after=nonsense")
        assert 'href="/jobs/12?part=failed&amp;after=62"' in page.body, "the next page"
        assert 'href="/jobs/12"' in (await web.get("/jobs/13")).body
        assert 'href="/jobs/12"' in (await web.get("/")).body

    counts = {"FAILED": 40_000, "PENDING": 60_000}
    elements = [element_view(index) for index in range(bounds.MOST_ELEMENTS_SHOWN)]
    answer_overview(daemon)
    answer_array(daemon, *elements, counts=counts, more=True)
    daemon.on("GET", "/v1/jobs/13", Json(detail_of(element_view(0))))
    only = wire.QueueHead(jobs=[], waiting=40, running=4, arrays=[array_view(id=12)])
    daemon.on("GET", "/v1/queue/head", Json(only))
    on(daemon, body)


def test_usage_is_a_table_and_a_picture(daemon: StubDaemon) -> None:
    group = {"key": EVIL, "slice_hours": 2.0, "gib_hours": 12.0, "slot_hours": 0.0, "share": 0.5,
             "jobs": 3, "running": 1, "failed": 1, "ends": {}, "wait_p50": 65, "wait_p90": None,
             "wait_p99": None}  # fmt: skip
    report = {"since": "2026-01-01T00:00:00Z", "until": "2026-01-08T00:00:00Z", "by": "profile",
              "groups": [group] * 200, "total": group | {"key": None}, "capacity_gib_hours": None,
              "idle_share": 0.25, "own": False, "whole_days": False}  # fmt: skip

    async def body(web: Service) -> None:
        answer = await web.get("/usage?by=profile&days=30")
        must_be_harmless(answer.body)
        assert "1m5s" in answer.body
        assert "(others)" in answer.body
        assert answer.body.count("<tr>") == bounds.MOST_GROUPS_SHOWN + 3
        (asked,) = daemon.asked
        assert asked.query.startswith("by=profile&since=")
        assert (await web.get("/usage?by=../../etc&days=-1")).status == 200
        assert daemon.asked[-1].query.startswith("by=user&since=")

    daemon.on("GET", "/v1/usage", Json(report))
    on(daemon, body)
