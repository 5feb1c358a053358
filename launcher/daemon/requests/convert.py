"""Between the wire's types and the core's: a client's typed JSON is checked again here."""

from __future__ import annotations

import dataclasses
import functools
from datetime import datetime
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import SchemaValidator

from launcher import wire
from launcher.core.model.job import Bind, JobSpec, Need, NeedKind, Retries, Warn
from launcher.core.policy.validate import LATEST
from launcher.core.scheduling.cpu_slots import with_slots
from launcher.errors import InternalError, UserError
from launcher.wire.bounds import MOST_CHARACTERS, MOST_ITEMS, MOST_NUMBER

T = TypeVar("T")

KEPT = "kept:"
"""What stands in a stored request in place of a secret begins with it, which no base64 does."""

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
    return SchemaValidator(_unbounded(adapter(wire.JobRequest).core_schema))


def parse_document(document: str) -> wire.JobRequest:
    """Return the request that a stored document holds; it was checked when it was stored."""
    made: wire.JobRequest = _parsed(_of_documents(), document.encode())
    return made


def document(request: wire.JobRequest) -> str:
    """Return a request as the JSON that is stored; of its secrets it says where they are kept."""
    if any(
        stored_name is not None and not stored_name.startswith(KEPT)
        for stored_name in request.secrets.values()
    ):
        raise InternalError("a document was to be made of a request with its secrets")
    text: bytes = adapter(wire.JobRequest).dump_json(request, exclude_defaults=True)
    return text.decode()


def dump(cls: Any, value: Any) -> bytes:
    """Return a reply as JSON."""
    return adapter(cls).dump_json(value)


def core_need(gpus: wire.GpuRequest) -> Need:
    """Return what the scheduler knows of a GPU request: the fields that count for its kind."""
    kind = NeedKind(gpus.kind)
    of_memory = kind is NeedKind.MEMORY
    return Need(
        kind=kind,
        profile=gpus.profile if kind is NeedKind.PROFILE else None,
        count=gpus.count,
        memory_gb=gpus.memory_gb if of_memory else None,
        memory_mib=gpus.memory_mib if of_memory else None,
        uuids=tuple(gpus.uuids) if kind is NeedKind.UUID else (),
    )


_CONVERTED = {
    "gpus", "command", "entrypoint", "environment", "volumes", "begin", "retries", "signal",
    "secrets", "kept",
}  # fmt: skip
_COPIED = [each.name for each in dataclasses.fields(JobSpec) if each.name not in _CONVERTED]
"""The fields that request and specification have under one name, with one type."""


def core_spec(request: wire.JobRequest) -> JobSpec:
    """Return the typed specification of a request."""
    copied: dict[str, Any] = {name: getattr(request, name) for name in _COPIED}
    return JobSpec(
        gpus=with_slots(core_need(request.gpus), request.cpus),
        command=None if request.command is None else tuple(request.command),
        entrypoint=None if request.entrypoint is None else tuple(request.entrypoint),
        environment=tuple(request.environment.items()),
        volumes=tuple(Bind(v.source, v.target, v.read_only) for v in request.volumes),
        begin=None if request.begin is None else moment(request.begin),
        retries=None if request.retries is None else _retries(request.retries),
        signal=None if request.signal is None else Warn(request.signal.name, request.signal.before),
        secrets=tuple(request.secrets),
        kept=_kept(request),
        **copied,
    )


def _kept(request: wire.JobRequest) -> str | None:
    """Return under which name the contents of a job's secrets are kept; never a content."""
    result = next(iter(request.secrets.values()), None)
    return None if result is None or not result.startswith(KEPT) else kept_as(result)


def kept_as(stored: str) -> str:
    """Return the name that a stored request has in place of a secret."""
    return stored.removeprefix(KEPT)


def _retries(asked: wire.RetryRequest) -> Retries:
    return Retries(asked.max, tuple(asked.on), asked.backoff, asked.max_backoff)


def moment(text: str, field: str = "begin") -> float:
    """Return seconds since 1970 of an RFC 3339 moment; raises ``UserError`` naming ``field``."""
    try:
        result = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(
            f"{field}: {text!r} is not a valid time such as 2026-12-01T02:00:00Z"
        ) from None
    if result.tzinfo is None:
        raise UserError(f"{field}: {text!r} has no time zone", fix="Write Z or +01:00 behind it.")
    seconds = result.timestamp()
    if not 0 <= seconds <= LATEST:
        raise UserError(f"{field}: {text} is too far away")
    return seconds
