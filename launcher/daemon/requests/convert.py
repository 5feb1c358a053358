"""JSON of requests and replies to typed values and back; every text and list has a bound."""

from __future__ import annotations

import functools
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import SchemaValidator

from launcher import wire
from launcher.errors import InternalError, UserError
from launcher.spec.bounds import MOST_CHARACTERS, MOST_ITEMS, MOST_NUMBER
from launcher.spec.job_spec import is_secrets_key

T = TypeVar("T")

_ADAPTERS: dict[Any, TypeAdapter[Any]] = {}
_VALIDATORS: dict[Any, SchemaValidator] = {}


def adapter(cls: Any) -> TypeAdapter[Any]:
    """Return the validator and serialiser of a wire type, built once."""
    if cls not in _ADAPTERS:
        _ADAPTERS[cls] = TypeAdapter(cls)
    return _ADAPTERS[cls]


def _validator(cls: Any) -> SchemaValidator:
    """Return what reads a wire type; a list's first fault is enough, for only one is told."""
    if cls not in _VALIDATORS:
        _VALIDATORS[cls] = SchemaValidator(bounded(adapter(cls).core_schema))
    return _VALIDATORS[cls]


_BOUNDS: dict[str, dict[str, Any]] = {
    "str": {"max_length": MOST_CHARACTERS},
    "list": {"max_length": MOST_ITEMS, "fail_fast": True},
    "tuple": {"max_length": MOST_ITEMS, "fail_fast": True},
    "dict": {"max_length": MOST_ITEMS},
    "int": {"ge": -MOST_NUMBER, "le": MOST_NUMBER},
    "float": {"ge": -float(MOST_NUMBER), "le": float(MOST_NUMBER)},
}


def bounded(schema: Any) -> Any:
    """Return a core schema in which every text, list, mapping and number has a bound."""
    if isinstance(schema, list):
        return [bounded(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: bounded(each) for key, each in schema.items()}
    kind = made.get("type")
    return _BOUNDS.get(kind, {}) | made if isinstance(kind, str) else made


def _unbounded(schema: Any) -> Any:
    """Return a core schema without bounds of length, for what was stored under other ones."""
    if isinstance(schema, list):
        return [_unbounded(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _unbounded(each) for key, each in schema.items() if key != "max_length"}


def parse(cls: type[T], body: bytes) -> T:
    """Return the typed request of a JSON body; raises ``UserError`` naming field and fault."""
    parsed: T = _parsed(_validator(cls), body or b"{}")
    return parsed


def _parsed(validator: SchemaValidator, body: bytes) -> Any:
    """Return what a validator reads; no fault quotes a value, which may be a secret."""
    try:
        return validator.validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the request"
        raise UserError(f"{where}: {first['msg']}") from None


@functools.cache
def _of_documents() -> SchemaValidator:
    return SchemaValidator(_unbounded(adapter(wire.JobSpec).core_schema))


def parse_document(document: str) -> wire.JobSpec:
    """Return the request that a stored document holds; it was checked when it was stored."""
    made: wire.JobSpec = _parsed(_of_documents(), document.encode())
    return made


def document(request: wire.JobSpec) -> str:
    """Return a request as the JSON that is stored; of its secrets it says where they are kept."""
    if any(
        stored_name is not None and not is_secrets_key(stored_name)
        for stored_name in request.secrets.values()
    ):
        raise InternalError("a document was to be made of a request with its secrets")
    text: bytes = adapter(wire.JobSpec).dump_json(request, exclude_defaults=True)
    return text.decode()


def dump(cls: Any, value: Any) -> bytes:
    """Return a reply as JSON."""
    return adapter(cls).dump_json(value)
