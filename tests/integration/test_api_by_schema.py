"""The whole API as its OpenAPI document tells it, asked by people who do not trust each other.

Requests are made from the document: such as fit it, and such as do not. One user has jobs that are
full of a word that nobody else may read.
"""

from __future__ import annotations

import dataclasses
import json
import pwd
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count as counting
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from launcher.core.model.measurement import UNMEASURED
from launcher.daemon.api.route import Access
from launcher.daemon.api.routes import ROUTES
from launcher.engine.connection import DockerConnection
from launcher.fakegpu.sandbox import Sandbox
from launcher.wire import ArrayRequest, GpuRequest, JobSpec
from tests.conftest import MakeDaemon
from tests.support.api import BASE, session
from tests.support.daemon import BUSYBOX, DaemonProcess, as_user
from tests.support.wait import wait_until
from tests.support.whole import many

ALICE, BOB = (pwd.getpwnam(name) for name in ("games", "news"))
NAMELESS = 54321
HERS = "telltale"
WAITS = ("/v1/events", "/v1/notifications")
"""Requests that wait for something to happen for as long as they say."""
"""In everything of Alice's that is private, and in nothing else."""
NONE = GpuRequest(kind="none")
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ACCESS = {(route.method, route.path): route.access for route in ROUTES}
ENDS_THE_DAEMON = ("POST", "/v1/stop")
MOST, MOST_SLOW = many(5, 30), 2
"""So many requests of every operation, for each who asks; of what starts processes or looks at
the whole machine."""
SLOW = ("/v1/whatif", "/v1/jobs/{ref}/why", "/v1/doctor", "/v1/doctor/fix")
CONFIG = """\
inventory_seconds = 1.0
sweep_seconds = 1.0
orphan_grace_seconds = 2.0
[policy]
images = ["docker.io/launcher/*"]
mount_roots = ["/srv/{user}"]
[limits]
connections = 100
requests_per_second = 1e6
submits_per_minute = 1e6
jobs_per_minute = 1e8
streams = 4
"""


@pytest.fixture
def daemon(make_daemon: MakeDaemon) -> DaemonProcess:
    return make_daemon(config=CONFIG).start()


@dataclass
class Hers:
    """Alice's jobs by what they are."""

    running: int
    ended: int
    held: int
    failed: int
    array: int
    all: list[int]


@pytest.fixture
def hers(daemon: DaemonProcess, sandbox: Sandbox) -> Hers:
    """Jobs of Alice's in many states, each with the word wherever a job may have one."""
    image = f"launcher/{HERS}:1"
    DockerConnection(sandbox.docker_host).api().tag(BUSYBOX, f"launcher/{HERS}", "1")

    def asked(*command: str, **fields: Any) -> JobSpec:
        fields = {
            "name": f"{HERS}-name",
            "image": image,
            "gpus": NONE,
            "environment": {f"{HERS}_name": f"{HERS}-value"},
            "working_dir": f"/{HERS}-dir",
            "stop_grace_period": 1.0,
        } | fields
        return JobSpec(command=(*command,), **fields)

    loud = ("sh", "-c", f"echo {HERS}-out; echo {HERS}-err >&2")
    one = GpuRequest(kind="profile", profile="1g.6gb")
    values = ArrayRequest(indices=[0, 1], matrix=[{HERS: f"{HERS}-0"}, {HERS: f"{HERS}-1"}])
    with as_user(ALICE.pw_uid):
        client = daemon.client
        ended, running, failed, never, held = (
            client.submit([one])[0].id
            for one in (
                asked(*loud),
                asked("sh", "-c", f"{loud[2]}; sleep 600", gpus=one),
                asked(f"{HERS}-program", entrypoint=[f"/{HERS}-entry"]),
                asked("true", image=f"launcher/{HERS}-missing:1", pull_policy="never"),
                asked("true", hold=True),
            )
        )
        (first, *_) = client.submit([asked("${" + HERS + "}", array=values, hold=True)])
        waits = client.submit([asked("true", depends_on={str(held): "afterok"})])[0].id
        for job in (ended, failed, never):
            assert client.wait(str(job), timeout=30).outcome
        assert client.show(str(failed)).job.outcome == "FAILED"
        wait_until(lambda: client.show(str(running)).job.state == "RUNNING", what="it runs")
        wait_until(lambda: len(list(client.logs(str(running)))) > 1, what="it has written")
    assert first.array is not None
    array = first.array["id"]
    every = [ended, running, failed, never, held, first.id, first.id + 1, waits]
    return Hers(running, ended, held, failed, array, every)


def operations(daemon: DaemonProcess) -> Iterator[Any]:
    """Yield the operations of the document that the daemon gives."""
    with session(daemon.socket, ALICE.pw_uid) as asking:
        document = asking.get(f"{BASE}/v1/openapi.json").json()
    for each in schemathesis.openapi.from_dict(document).get_all_operations():
        yield each.ok()


def key(operation: Any) -> tuple[str, str]:
    return operation.method.upper(), operation.path


def drawn(operation: Any, refs: list[str], over: list[str]) -> st.SearchStrategy[Any]:
    """Return requests of an operation, many of them about jobs that are there.

    Streams are asked of those that are ``over`` alone: they end.
    """
    made = operation.as_strategy()
    if operation.path_parameters or operation.query or operation.body:
        made |= operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)
    return st.builds(
        lambda case, chances: aimed(operation, case, chances, refs, over),
        made,
        st.lists(st.integers(0, 2**30), min_size=8, max_size=8),
    )


def aimed(operation: Any, case: Any, chances: list[int], refs: list[str], over: list[str]) -> Any:
    """Return a request like this one, with names of jobs that are there in two of three."""

    def some(at: int, otherwise: Any) -> Any:
        return otherwise if chances[at] % 3 == 0 else refs[chances[at] % len(refs)]

    path, query, body = dict(case.path_parameters), case.query, case.body
    if "ref" in path:
        path["ref"] = some(0, path["ref"])
    if "{ref}/follow" in operation.path or "{ref}/logs" in operation.path:
        path["ref"] = over[chances[0] % len(over)]
    if isinstance(query, dict) and "ref" in query:
        query = query | {"ref": some(1, query["ref"])}
    if operation.path.endswith("/wait") or operation.path in WAITS:
        query = {"timeout": "0.01"}
    if isinstance(body, dict) and "{ref}/edit" in operation.path:
        names = sorted(body, key=lambda name: hash((name, chances[6])))
        body = {name: body[name] for name in names[: chances[7] % 3]}
    if isinstance(body, dict) and isinstance(body.get("refs"), list):
        body = body | {"refs": [some(2, "last"), *body["refs"]]}
    if isinstance(body, dict) and isinstance(body.get("jobs"), list):
        jobs = [sound(job, some, chances) for job in body["jobs"]]
        body = body | {"jobs": jobs}
    return operation.Case(path_parameters=path, query=query, body=body, media_type=case.media_type)


def sound(job: Any, some: Callable[[int, Any], Any], chances: list[int]) -> Any:
    """Return a job that can be queued, in two of three; it never starts."""
    if not isinstance(job, dict) or chances[3] % 3 == 0:
        return job
    kept = {name: job[name] for name in ("command", "environment") if name in job}
    after = {"depends_on": {some(4, "1"): "afterany"}} if chances[5] % 2 else {}
    return {"name": "his", "image": BUSYBOX, "hold": True, "priority": 3} | kept | after


def examples(most: int) -> settings:
    return settings(
        max_examples=most,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def told(case: Any, answer: requests.Response) -> str:
    return f"{case.as_curl_command()} -> {answer.status_code} {answer.text[:400]}"


def private(daemon: DaemonProcess, hers: Hers) -> str:
    """Return all there is to know of Alice's jobs, as an admin sees it, but what they use."""
    shown = [daemon.client.show(str(job)) for job in hers.all]
    unmeasured = dataclasses.asdict(UNMEASURED)
    attempts = [[dataclasses.replace(a, **unmeasured) for a in s.attempts] for s in shown]
    return json.dumps(
        [
            [str(s.job), str(s.spec), str(s.events), str(a)]
            for s, a in zip(shown, attempts, strict=True)
        ]
    )


def ask_everything(
    daemon: DaemonProcess,
    caller: requests.Session,
    requested: tuple[list[str], list[str]],
    check: Callable[[Any, requests.Response], None] = lambda *_: None,
    without: tuple[tuple[str, str], ...] = (),
) -> int:
    """Ask for every operation of the document; returns how often. Every answer is as it says."""
    tried = counting()
    found = []
    for operation in operations(daemon):

        @examples(MOST_SLOW if operation.path in SLOW else MOST)
        @given(case=drawn(operation, *requested))
        def ask(case: Any) -> None:
            next(tried)
            answer = case.call(base_url=BASE, session=caller, timeout=20)
            case.validate_response(answer, checks=CHECKS)
            check(case, answer)

        if key(operation) in without:
            continue
        try:
            ask()
        except Exception as error:
            error.add_note(" ".join(key(operation)))
            found.append(error)
    if found:
        raise ExceptionGroup("answers that must not be", found)
    return next(tried)


def test_no_route_tells_a_user_what_is_anothers_or_lets_him_change_it(
    daemon: DaemonProcess, hers: Hers, count: Callable[[str, int], None]
) -> None:
    before = private(daemon, hers)
    assert HERS in before
    ids = [str(job) for job in (*hers.all, hers.array)]
    refs = [*ids, f"{hers.array}[1]", "1-9", f"{hers.array}[0-1]"]

    def check(case: Any, answer: requests.Response) -> None:
        seen = answer.content + str(answer.headers).encode()
        assert HERS.encode() not in seen.lower(), told(case, answer)
        access = ACCESS[key(case.operation)]
        of_hers = case.path_parameters.get("ref") in refs
        if access is Access.ADMIN or (access is Access.OWNER and of_hers):
            assert answer.status_code in (400, 403, 404), told(case, answer)

    with session(daemon.socket, BOB.pw_uid) as his:
        tried = ask_everything(daemon, his, (refs, refs), check)
    assert private(daemon, hers) == before
    count("API cases", tried)
    count("API answers 5xx", 0)
    count("API leaks", 0)


@pytest.mark.parametrize("uid", [ALICE.pw_uid, 0], ids=["owner", "admin"])
def test_every_answer_to_who_may_ask_is_as_the_document_says(
    daemon: DaemonProcess, uid: int, count: Callable[[str, int], None]
) -> None:
    with as_user(ALICE.pw_uid):
        ended = daemon.submit("sh", "-c", "echo out; echo err >&2", gpus=NONE)
        held = [daemon.submit("true", gpus=NONE, hold=True).id for _ in range(3)]
        elements = ArrayRequest(indices=[0, 1, 2], max_parallel=1)
        wanted = JobSpec(name="some", image=BUSYBOX, gpus=NONE, hold=True, array=elements)
        first = daemon.client.submit([wanted])[0]
        daemon.done(ended)
    assert first.array is not None
    array = first.array["id"]
    refs = [*map(str, held), str(array), f"{array}[1]", "2-4", "last"]
    with session(daemon.socket, uid) as asking:
        requested = (refs, [str(ended.id)])
        tried = ask_everything(daemon, asking, requested, without=(ENDS_THE_DAEMON,))
    count("API cases", tried)
    count("API answers 5xx", 0)


def test_a_user_without_a_name_is_told_nothing_of_anothers_by_any_route(
    daemon: DaemonProcess, hers: Hers, count: Callable[[str, int], None]
) -> None:
    asked = list(operations(daemon))

    def ask(operation: Any, asking: requests.Session) -> tuple[Any, requests.Response]:
        path = {parameter.name: str(hers.ended) for parameter in operation.path_parameters}
        body = {} if operation.body else None
        case = operation.Case(path_parameters=path, body=body, media_type="application/json")
        with asking:
            return case, case.call(base_url=BASE, session=asking, timeout=20)

    callers = [session(daemon.socket, NAMELESS, at_once=True) for _ in asked]
    with ThreadPoolExecutor(len(asked)) as pool:
        answers = list(pool.map(ask, asked, callers))
    for case, answer in answers:
        case.validate_response(answer, checks=CHECKS)
        if ACCESS[key(case.operation)] in (Access.ADMIN, Access.OWNER):
            assert answer.status_code in (400, 403, 404, 429), told(case, answer)
        assert HERS not in answer.text.lower()
    count("API cases", len(answers))
    count("API answers 5xx", 0)
    count("API leaks", 0)


def test_who_asks_too_much_is_refused_as_the_document_says(daemon: DaemonProcess) -> None:
    with as_user(ALICE.pw_uid):
        held = daemon.submit("true", gpus=NONE, hold=True)
    wait = next(o for o in operations(daemon) if o.path == "/v1/jobs/{ref}/wait")
    case = wait.Case(path_parameters={"ref": str(held.id)}, query={"timeout": "30"})

    def ask(asking: requests.Session) -> requests.Response:
        with asking:
            return case.call(base_url=BASE, session=asking, timeout=20)

    callers = [session(daemon.socket, ALICE.pw_uid, at_once=True) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(ask, caller) for caller in callers]
        wait_until(lambda: sum(each.done() for each in asked) >= 2, what="some are refused")
        daemon.client.cancel(held.id)
    statuses = [each.result().status_code for each in asked]
    assert sorted(statuses) == [200, 200, 200, 200, 429, 429]
    for each in asked:
        case.validate_response(each.result(), checks=CHECKS)
        refused = each.result().status_code == 429
        assert ("retry-after" in {name.lower() for name in each.result().headers}) == refused


FAR = 2**70
LONG_AGO = {
    "name": "far",
    "user": "games",
    "profile": "1g.6gb",
    "start": "0001-01-01T00:00:00+23:59",
    "end": "2080-01-01T00:00:00Z",
}
OUT_OF_RANGE: tuple[tuple[str, str, object], ...] = (
    ("GET", "layout/changes?most=99999999999999999999", None),
    ("GET", "layout/changes/9999999999999999999/wait?timeout=0", None),
    ("GET", "jobs/{held}/logs?tail=99999999999999999999", None),
    ("GET", "jobs/{held}/logs?position=99999999999999999999", None),
    ("GET", "jobs/{held}/wait?timeout=nan", None),
    ("GET", "jobs?mist=1", None),
    ("GET", "jobs?all=yes", None),
    ("GET", "jobs/99999999999999999999", None),
    ("GET", "jobs/1-99999999999999999999", None),
    ("GET", f"jobs?ref={'9' * 9000}", None),
    ("GET", "layout/saved", None),
    ("POST", "layout/plan", {"specs": [{"profile": "1g.6gb", "count": 10**9}]}),
    ("POST", "layout/plan", {"specs": [{"profile": "1g.6gb", "count": FAR}]}),
    ("POST", "layout/plan", {"specs": [{"profile": "1g.6gb", "start": FAR}]}),
    ("POST", "layout/plan", {"specs": [{"profile": "1g.6gb", "count": 60}] * 4000}),
    ("POST", "layout/plan", {"specs": [{"profile": "9" * 5000}]}),
    ("POST", "layout/plan", {"models": ["zz"], "gpus": []}),
    ("POST", "layout/plan", {"drop": ["0/" + "9" * 5000]}),
    ("POST", "jobs", {"array": {"indices": [0], "max_parallel": FAR}}),
    ("POST", "jobs", {"array": {"indices": [FAR]}}),
    ("POST", "jobs", {"priority": FAR}),
    ("POST", "jobs", {"priority": -FAR}),
    ("POST", "jobs", {"time_limit": 1e300}),
    ("POST", "jobs", {"stop_grace_period": 1e300}),
    ("POST", "jobs", {"gpus": {"kind": "profile", "profile": "1g.6gb", "count": FAR}}),
    ("POST", "jobs", {"gpus": {"kind": "memory", "memory_gb": FAR}}),
    ("POST", "jobs", {"gpus": {"kind": "memory", "memory_mib": FAR}}),
    ("POST", "jobs", {"retries": {"max": FAR}}),
    ("POST", "jobs", {"retries": {"max": 1, "backoff": 1e300, "max_backoff": 1e300}}),
    ("POST", "jobs", {"signal": {"name": "SIGINT", "before": 1e300}}),
    ("POST", "jobs", {"begin": "9999-12-31T23:59:59+00:00"}),
    ("POST", "jobs", {"begin": "0001-01-01T00:00:00+23:59"}),
    ("POST", "reservations", LONG_AGO),
    ("POST", "reservations", LONG_AGO | {"start": "2026-01-01T00:00:00Z", "end": "9999-12-31Z"}),
    ("POST", "jobs/{held}/edit", {"priority": FAR}),
    ("POST", "jobs/{held}/edit", {"time_limit": 1e300}),
    ("POST", "jobs/{held}/edit", {"gpus": {"kind": "full", "count": FAR}}),
)


def body_of(path: str, more: object) -> object:
    """Return a body with these fields where they belong."""
    if path == "jobs" and isinstance(more, dict):
        return {"jobs": [{"name": "far", "image": BUSYBOX, "hold": True} | more]}
    if path == "layout/plan":
        return {"verb": "plan", "request": "far", "entries": [more]}
    return more


def test_what_is_out_of_any_range_is_refused_at_once_and_harms_nobody(
    daemon: DaemonProcess, count: Callable[[str, int], None]
) -> None:
    with as_user(ALICE.pw_uid):
        held = daemon.submit("true", gpus=NONE, hold=True)
    for uid in (ALICE.pw_uid, 0):
        with session(daemon.socket, uid) as asking:
            for method, path, more in OUT_OF_RANGE:
                url = f"{BASE}/v1/{path.format(held=held.id)}"
                answer = asking.request(method, url, json=body_of(path, more), timeout=5)
                harmless = (200,) if "timeout=nan" in path else (400, 403, 404)
                assert answer.status_code in harmless, (path, more, answer.text)
                assert answer.headers["Content-Type"].startswith("application/json"), answer.text
            answer = asking.delete(f"{BASE}/v1/layout/changes")
            assert (answer.status_code, answer.headers["Allow"]) == (405, "GET,POST")
    assert daemon.client.status().state == "healthy"
    assert daemon.client.queue.reservations() == []
    count("API cases", 2 * len(OUT_OF_RANGE))
    count("API answers 5xx", 0)
