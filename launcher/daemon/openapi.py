"""The OpenAPI document, made from the routes and the wire types."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from launcher import __version__, wire
from launcher.daemon import convert

if TYPE_CHECKING:
    from launcher.daemon.routes import Route

_TEMPLATE = "#/components/schemas/{model}"


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """Return OpenAPI 3.1 for the API."""
    schemas: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    for route in routes:
        operation: dict[str, Any] = {
            "operationId": route.handler.__name__.lstrip("_"),
            "description": f"May be called by: {route.access.value}.",
            "parameters": [
                {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                for name in re.findall(r"{(\w+)}", route.path)
            ],
            "responses": {
                str(route.status): {"description": "done", "content": _content(route, schemas)},
                "default": {
                    "description": "an error",
                    "content": _json(_schema(wire.ErrorReply, schemas)),
                },
            },
        }
        if route.asks is not None:
            operation["requestBody"] = {
                "required": True,
                "content": _json(_schema(route.asks, schemas)),
            }
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "launcher", "version": __version__},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _content(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    if route.reply is None:
        return {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    return _json(_schema(route.reply, schemas))


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _schema(cls: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = convert.adapter(cls).json_schema(ref_template=_TEMPLATE)
    schemas.update(made.pop("$defs", {}))
    name = getattr(cls, "__name__", "")
    if made.get("type") == "object" and hasattr(cls, "__dataclass_fields__"):
        schemas[name] = made
        return {"$ref": _TEMPLATE.format(model=name)}
    return made
