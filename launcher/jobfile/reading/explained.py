"""What ``launch explain`` and the manual say of each key of a job file, from the JSON Schema.

Needs only the schema's text: no key is read here, so that the answer is there at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

Schema = Mapping[str, Any]
Fragment = dict[str, Any]

KINDS = {"string": "text", "object": "mapping", "array": "list", "integer": "number"}
FREE = "value"
"""The kind of a value that is not looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One key of a job file by its path, such as ``gpus.profile``.

    ``type``, ``meaning`` and ``default`` are for people; each example is a part of a job file.
    ``keys`` are the paths of the keys directly inside it.
    """

    key: str
    type: str
    meaning: str
    default: str
    examples: list[Fragment]
    keys: list[str]


def stored_schema() -> Schema:
    """Return the JSON Schema of the package."""
    text = resources.files("launcher").joinpath("jobfile", "schema.json").read_text("utf-8")
    schema: Schema = json.loads(text)
    return schema


def explained(schema: Schema) -> dict[str, Explained]:
    """Return every key of a job file by its path, in the order of the schema."""
    parts = schema["$defs"]
    top = {**parts["job"]["properties"], **parts["several"]["properties"]}
    return {each.key: each for name, rule in top.items() for each in _explain((name,), rule, [])}


def _explain(path: tuple[str, ...], rule: Schema, outer: list[Fragment]) -> Iterator[Explained]:
    """Yield a key, then those inside it; ``outer`` are the examples of the key around it."""
    own = [_placed(path, value, rule) for value in rule.get("examples", ())]
    examples = own or [each for each in outer if _has(each, path)][:1]
    inner = _inner(rule)
    yield Explained(
        key=".".join(path),
        type=kind_of(rule),
        meaning=rule["description"],
        default=_default(rule),
        examples=examples,
        keys=[".".join((*path, name)) for name in inner],
    )
    for name, value in inner.items():
        yield from _explain((*path, name), value, own or outer)


def kind_of(rule: Schema) -> str:
    """Return the kinds of values that a key takes, for people."""
    if "const" in rule:
        return f"`{rule['const']}`"
    if "enum" in rule:
        return ", ".join(f"`{word}`" for word in rule["enum"])
    if "oneOf" in rule:
        return " or ".join(dict.fromkeys(kind_of(each) for each in rule["oneOf"]))
    kinds = rule.get("type", FREE)
    words = [kinds] if isinstance(kinds, str) else kinds
    return " or ".join(dict.fromkeys(KINDS.get(word, word) for word in words if word != "null"))


def _inner(rule: Schema) -> dict[str, Schema]:
    """Return the keys inside a key, also where they are in a list or below a free name."""
    result: dict[str, Schema] = dict(rule.get("properties", {}))
    others = (*rule.get("oneOf", ()), rule.get("items"), rule.get("additionalProperties"))
    for other in others:
        if isinstance(other, dict):
            result |= _inner(other)
    return result


def _default(rule: Schema) -> str:
    if "x-default" in rule:
        return str(rule["x-default"])
    value = rule["default"]
    if isinstance(value, str):
        return value
    return "none" if value in ([], {}) else json.dumps(value).replace('"', "")


def _placed(path: tuple[str, ...], value: Any, rule: Schema) -> Fragment:
    """Return an example where it stands in a job file, with what it needs beside it."""
    result: Fragment = {**rule.get("x-along", {})}
    if len(path) == 1:
        return {**result, path[0]: value}
    return {**result, path[0]: {**result.get(path[0], {}), path[1]: value}}


def _has(value: Any, path: tuple[str, ...]) -> bool:
    """Whether an example has a key; lists and free names between its parts are passed."""
    if not path:
        return True
    if isinstance(value, list):
        return any(_has(item, path) for item in value)
    if not isinstance(value, dict):
        return False
    if path[0] in value:
        return _has(value[path[0]], path[1:])
    return any(_has(item, path) for item in value.values())
