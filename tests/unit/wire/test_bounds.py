"""Every field of every request has a bound: a type without one fails here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from launcher import wire
from launcher.daemon.api.routes import ROUTES
from launcher.daemon.requests import convert
from launcher.errors import UserError
from launcher.spec.bounds import MOST_CHARACTERS, MOST_ITEMS

ASKED = list(dict.fromkeys(route.body_type for route in ROUTES if route.body_type is not None))
BOUNDS = {
    "str": ("max_length",),
    "list": ("max_length",),
    "tuple": ("max_length",),
    "dict": ("max_length",),
    "int": ("ge", "le"),
    "float": ("ge", "le"),
}
WITHOUT = {
    "any", "bytes", "set", "frozenset", "json", "generator", "url", "decimal", "date",
    "datetime", "callable", "custom-error", "typed-dict", "model",
}  # fmt: skip
"""Kinds of schema for which nothing here would give a bound."""


def schemas(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield every schema inside of one."""
    if isinstance(schema, list):
        for each in schema:
            yield from schemas(each)
    elif isinstance(schema, dict):
        if isinstance(schema.get("type"), str):
            yield schema
        for each in schema.values():
            yield from schemas(each)


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: asked.__name__)
def test_every_text_list_mapping_and_number_of_a_request_has_a_bound(asked: Any) -> None:
    found = list(schemas(convert.bounded(convert.adapter(asked).core_schema)))
    assert found
    for schema in found:
        kind = schema["type"]
        assert kind not in WITHOUT, f"{asked.__name__} has a field of kind {kind}"
        lacking = [name for name in BOUNDS.get(kind, ()) if name not in schema]
        assert not lacking, f"a {kind} of {asked.__name__} has no {lacking}"


@pytest.mark.parametrize(
    ("asked", "value", "where"),
    [
        (wire.SelectRequest, {"user": "x" * (MOST_CHARACTERS + 1)}, "user"),
        (wire.SelectRequest, {"refs": ["1"] * (MOST_ITEMS + 1)}, "refs"),
        (wire.SelectRequest, {"refs": ["1" * 1025]}, "refs"),
        (wire.SelectRequest, {"name": "[" * 129}, "name"),
        (wire.RetryJobs, {"refs": ["1"] * 1001}, "refs"),
        (wire.EditRequest, {"priority": 2**63}, "priority"),
        (wire.EditRequest, {"time_limit": 1e300}, "time_limit"),
        (wire.JobSpec, {"name": "j", "image": "i", "command": ["x" * 131_073]}, "command"),
        (wire.JobSpec, {"name": "j", "image": "i" * 5000}, "image"),
    ],
)
def test_more_than_that_is_refused_and_the_field_named(asked: Any, value: Any, where: str) -> None:
    with pytest.raises(UserError, match=f"^{where}"):
        convert.parse(asked, json.dumps(value).encode())


def test_what_was_stored_under_other_bounds_is_still_read() -> None:
    request = wire.JobSpec(name="j", image="i" * 10_000, command=("x" * 200_000,))
    assert convert.parse_document(convert.document(request)) == request


def test_a_stored_document_that_cannot_be_read_is_told_without_its_values() -> None:
    document = json.dumps({"name": "j", "image": "i", "environment": {"TOKEN": ["hunter2"]}})
    with pytest.raises(UserError, match=r"^environment\.TOKEN") as refused:
        convert.parse_document(document)
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None
