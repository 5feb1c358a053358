"""The OpenAPI document, generated from the routes and the wire types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from launcher import __version__, wire
from launcher.daemon.api.query_params import of_path
from launcher.daemon.requests import convert
from launcher.errors import by_kind

if TYPE_CHECKING:
    from launcher.daemon.api.route import Route

_TEMPLATE = "#/components/schemas/{model}"
_OF_A_BODY = (408, 413)
"""Statuses of requests with a body only."""
_RETRY_AFTER = {
    "description": "Seconds until the request may be repeated.",
    "schema": {"type": "integer", "minimum": 0},
}


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """Return OpenAPI 3.1 for the API."""
    schemas: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    for route in routes:
        operation: dict[str, Any] = {
            "operationId": _operation(route),
            "description": f"May be called by: {route.access.value}.",
            "parameters": [
                *(parameter.openapi("path") for parameter in of_path(route.path)),
                *(parameter.openapi("query") for parameter in route.query),
            ],
            "responses": {
                str(route.status): {"description": "done", "content": _content(route, schemas)},
                **_refusals(route, schemas),
            },
        }
        if route.body_type is not None:
            operation["requestBody"] = {
                "required": True,
                "content": _json(_body_schema(route.body_type, schemas)),
            }
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "launcher", "version": __version__},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _operation(route: Route) -> str:
    """Return the name of an operation: no two routes have the same."""
    module = route.handler.__module__.rpartition(".")[2]
    return f"{module}_{route.handler.__name__.lstrip('_')}"


def _refusals(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    """Return a route's error replies, from the error tree, which has every status."""
    replies: dict[str, Any] = {}
    for status in sorted({error.http_status for error in by_kind().values()}):
        if status in _OF_A_BODY and route.body_type is None:
            continue
        kinds = sorted(kind for kind, error in by_kind().items() if error.http_status == status)
        replies[str(status)] = {
            "description": f"An error, by its kind: {', '.join(kinds)}.",
            "content": _json(_schema(wire.ErrorReply, schemas)),
        }
        if status == 429:
            replies[str(status)]["headers"] = {"Retry-After": _RETRY_AFTER}
    return replies


def _content(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    if route.reply is None:
        return {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    return _json(_schema(route.reply, schemas))


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _body_schema(cls: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a body, with the limits that it is parsed with."""
    from pydantic.json_schema import GenerateJsonSchema

    core_schema = convert.bounded(convert.adapter(cls).core_schema)
    schema = GenerateJsonSchema(ref_template=_TEMPLATE).generate(core_schema)
    return _named(cls, schema, schemas)


def _schema(cls: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    return _named(cls, convert.adapter(cls).json_schema(ref_template=_TEMPLATE), schemas)


def _named(cls: Any, schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    schemas.update(schema.pop("$defs", {}))
    name = getattr(cls, "__name__", "")
    if schema.get("type") == "object" and hasattr(cls, "__dataclass_fields__"):
        schemas[name] = schema
        return {"$ref": _TEMPLATE.format(model=name)}
    return schema
