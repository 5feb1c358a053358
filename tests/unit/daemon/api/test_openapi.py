"""The OpenAPI document is made from the routes: all of them, with types that resolve."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from launcher import wire
from launcher.daemon.api.openapi import document
from launcher.daemon.api.route import Access, Route
from launcher.daemon.api.routes import ROUTES
from launcher.errors import by_kind

MADE: dict[str, Any] = json.loads(json.dumps(document(ROUTES)))


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


@pytest.mark.parametrize("route", ROUTES, ids=lambda r: f"{r.method} {r.path}")
def test_every_route_is_there_with_who_may_call_it(route: Route) -> None:
    operation = MADE["paths"][route.path][route.method.lower()]
    assert route.access.value in operation["description"]
    assert [p["name"] for p in operation["parameters"] if p["in"] == "path"] == re.findall(
        r"{(\w+)}", route.path
    )
    assert ("requestBody" in operation) == (route.body_type is not None)
    refusals = set(operation["responses"]) - {str(route.status)}
    told = {str(error.http_status) for error in by_kind().values()}
    assert refusals == (told if route.body_type is not None else told - {"408", "413"})
    queried = [p["name"] for p in operation["parameters"] if p["in"] == "query"]
    assert queried == [parameter.name for parameter in route.query]


def test_who_is_refused_for_asking_too_much_is_told_when_to_come_again() -> None:
    refused = MADE["paths"]["/v1/status"]["get"]["responses"]["429"]
    assert list(refused["headers"]) == ["Retry-After"]
    assert "too-many" in refused["description"]


def test_there_is_nothing_but_the_routes() -> None:
    told = {(m.upper(), path) for path, methods in MADE["paths"].items() for m in methods}
    assert told == {(r.method, r.path) for r in ROUTES}
    assert len(ROUTES) == len(told), "no route is there twice"


def test_it_is_openapi_with_a_title_and_a_version() -> None:
    assert MADE["openapi"].startswith("3.1")
    assert MADE["info"]["title"] == "launcher"
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", MADE["info"]["version"])


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [o["operationId"] for methods in MADE["paths"].values() for o in methods.values()]
    assert len(set(names)) == len(names)


def test_every_reference_leads_somewhere() -> None:
    found = list(references(MADE))
    assert len(found) > 10
    for reference in found:
        node: Any = MADE
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
        assert node


@pytest.mark.parametrize(
    "cls",
    [
        *(wire.Status, wire.JobDetail, wire.JobView, wire.SubmitRequest, wire.JobSpec),
        *(wire.SliceView, wire.Check, wire.ErrorReply, wire.SignalRequest, wire.GpuRequest),
    ],
)
def test_every_wire_type_is_described_field_by_field(cls: Any) -> None:
    schema = MADE["components"]["schemas"][cls.__name__]
    assert set(schema["properties"]) == {f.name for f in dataclasses.fields(cls)}


def test_what_a_client_sends_may_have_no_other_fields() -> None:
    for cls in (wire.SubmitRequest, wire.JobSpec, wire.GpuRequest, wire.SignalRequest):
        assert MADE["components"]["schemas"][cls.__name__]["additionalProperties"] is False


def test_what_changes_a_job_is_for_its_owner_and_what_ends_the_daemon_for_admins() -> None:
    access = {(r.method, r.path): r.access for r in ROUTES}
    assert access[("POST", "/v1/stop")] is Access.ADMIN
    on_jobs = [a for (m, path), a in access.items() if "/jobs/{ref}" in path and m != "GET"]
    machine = [a for (m, path), a in access.items() if m == "POST" and "/jobs" not in path]
    asks_only = ("/v1/layout/plan", "/v1/whatif", "/v1/login", "/v1/prune")
    ones_own = ("/v1/cache/clear", "/v1/images/load", "/v1/images/remove", "/v1/web/token")
    ones_own += ("/v1/notify", "/v1/notify/test")
    assert access[("POST", "/v1/web/session")] is Access.WEB
    logins = ("/v1/web/session", "/v1/web/logout")
    for path in (*asks_only, *ones_own, *logins):
        machine.remove(access[("POST", path)])
    machine.remove(access[("POST", "/v1/notifications/report")])
    assert set(machine) == {Access.ADMIN}
    assert access[("POST", "/v1/backup")] is Access.ADMIN
    assert on_jobs == [Access.OWNER] * len(on_jobs) != []
    assert {access[("GET", f"/v1/jobs/{{ref}}/{x}")] for x in ("logs", "follow")} == {Access.OWNER}
