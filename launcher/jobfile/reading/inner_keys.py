"""How values of a job file look to the JSON Schema, and the keys inside other keys."""

from __future__ import annotations

from typing import Any, get_args

from launcher.interpolation import KEY
from launcher.jobfile.values.retry_spec import MOST_RETRIES
from launcher.jobfile.values.waiting import COMPOSE
from launcher.spec.conditions import CONDITIONS
from launcher.spec.gpus import GpuCapability
from launcher.spec.job_spec import JobSpec
from launcher.spec.notify import MOST_TARGETS, MOST_URL, WHEN

NO_VALUE: Any = object()
REQUIRED = "required"
NOTHING = "none"

TEXT: dict[str, Any] = {"type": "string"}
BOOLEAN = {"type": "boolean"}
PORT = {"type": ["integer", "string"], "minimum": 1, "maximum": 65535}
WORD = {"type": ["string", "number", "boolean"]}
DURATION = {"type": "string", "pattern": r"^(\d+d)?(\d+h)?(\d+m)?(\d+s)?$|^(\d+-)?\d+:\d\d:\d\d$"}
SIZE = {"type": ["string", "integer"], "pattern": r"^\d+(\.\d+)?\s*([bkmgtBKMGT]([iI]?[bB])?)?$"}
WORDS = {"oneOf": [TEXT, {"type": "array", "items": WORD}]}
_KEY = f"^{KEY.pattern}$"
UUID = "MIG-4f9c2f4e-6d1c-5d2e-9d6a-0c7a4f1b2e3d"


def key(
    meaning: str,
    rule: dict[str, Any],
    *examples: Any,
    default: Any = NO_VALUE,
    words: str | None = None,
    along: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the schema of a key; ``default`` is a value, ``words`` what happens without one."""
    result = {"description": meaning, **rule}
    if default is not NO_VALUE:
        result["default"] = default
    if words is not None:
        result["x-default"] = words
    if examples:
        result["examples"] = list(examples)
    if along is not None:
        result["x-along"] = along
    return result


def mapping(properties: dict[str, Any], required: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the schema of a mapping with these keys and any ``x-`` keys."""
    result: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "patternProperties": {"^x-": True},
        "additionalProperties": False,
    }
    return {**result, "required": list(required)} if required else result


_PROFILE = key("The slices' profile; `full` is a whole GPU.", TEXT, words=NOTHING)
_MEMORY = key(
    "The smallest slice with this memory; auto: what earlier jobs of this name used, and a margin.",
    TEXT,
    words=NOTHING,
)
_CAPABILITIES = {
    "type": "array",
    "items": {"enum": ["gpu", "all", *get_args(GpuCapability)]},
}
GPUS_LONG = mapping(
    {
        "profile": _PROFILE,
        "memory": _MEMORY,
        "count": key(
            "How many slices.", {"type": "integer", "minimum": 1, "maximum": 128}, default=1
        ),
        "driver": key("Compose's; only nvidia.", {"const": "nvidia"}, default="nvidia"),
        "options": key(
            "Compose's place for `profile` and `memory`.",
            mapping({"profile": _PROFILE, "memory": _MEMORY}),
            default={},
        ),
        "capabilities": key(
            "Parts of NVIDIA's driver beyond compute and utility.", _CAPABILITIES, default=[]
        ),
        "device_ids": key(
            "UUIDs of the slices, in place of the other keys.",
            {"type": "array", "items": TEXT, "minItems": 1},
            words=NOTHING,
        ),
    }
)
_BIND = mapping(
    {
        "create_host_path": key("Ignored: the directory must exist.", {}, words="ignored"),
        "selinux": key("Ignored.", {}, words="ignored"),
        "propagation": key(
            "Mounts of jobs are private.", {"const": "rprivate"}, default="rprivate"
        ),
    }
)
VOLUME_LONG = mapping(
    {
        "type": key("Only bind.", {"const": "bind"}, default="bind"),
        "source": key("The directory or file of the machine.", TEXT, words=REQUIRED),
        "target": key("Its path in the container.", TEXT, words=REQUIRED),
        "read_only": key("The job cannot write there.", BOOLEAN, default=False),
        "bind": key("Compose's options of bind mounts.", _BIND, default={}),
        "consistency": key("Ignored.", {}, words="ignored"),
    },
    ("source", "target"),
)
_LIMIT = {"type": "integer", "minimum": -1}
_ULIMIT = {
    "oneOf": [
        _LIMIT,
        mapping(
            {
                "soft": key("The limit at the start.", _LIMIT, words=REQUIRED),
                "hard": key("How far the job may raise it.", _LIMIT, words=REQUIRED),
            },
            ("soft", "hard"),
        ),
    ]
}
ULIMIT_KEYS = {
    "memlock": key("Locked memory, in bytes.", _ULIMIT, words="Docker's"),
    "stack": key("The stack, in bytes.", _ULIMIT, words="Docker's"),
    "nofile": key("Open files.", _ULIMIT, words="`nofile` of `[policy]`"),
    "nproc": key("Processes of the user.", _ULIMIT, words="Docker's"),
}
_COMBINATIONS = {
    "type": "array",
    "items": {
        "type": "object",
        "minProperties": 1,
        "patternProperties": {_KEY: WORD},
        "additionalProperties": False,
    },
}
MATRIX = {
    "type": "object",
    "minProperties": 1,
    "properties": {
        "exclude": key("Combinations to leave out.", _COMBINATIONS, default=[]),
        "include": key(
            "Values to add to the combinations that match, or further combinations.",
            _COMBINATIONS,
            default=[],
        ),
    },
    "patternProperties": {
        "^(?!(exclude|include)$)" + _KEY[1:]: {"type": "array", "items": WORD, "minItems": 1}
    },
    "additionalProperties": False,
}
CONDITION = {
    "type": "object",
    "properties": {
        "condition": key(
            "What the other job must have done.",
            {"enum": [*COMPOSE, *CONDITIONS]},
            default="afterok",
        ),
        "delay": key("With `after`: this long after the other's start.", DURATION, words="no wait"),
    },
    "additionalProperties": False,
}
_END = {"type": "string", "pattern": r"^(infra|oom|timeout|any|exit:\d{1,3}(-\d{1,3})?)$"}
RETRIES = {"type": "integer", "minimum": 0, "maximum": MOST_RETRIES}
RETRIES_LONG = mapping(
    {
        "max": key("How often it runs again.", RETRIES, words=REQUIRED),
        "on": key(
            "After which ends: infra, oom, timeout, any, exit:75, exit:1-3.",
            {"oneOf": [TEXT, {"type": "array", "items": _END, "minItems": 1}]},
            default=["infra"],
        ),
        "backoff": key("The first wait; each next one is twice as long.", DURATION, default="0s"),
        "max_backoff": key("The longest wait.", DURATION, default="1h"),
    },
    ("max",),
)
SIGNAL_LONG = mapping(
    {
        "name": key("The signal.", TEXT, words=REQUIRED),
        "before": key("How long before the time limit.", DURATION, words=REQUIRED),
    },
    ("name", "before"),
)
_NOTIFY_LONG = mapping(
    {
        "webhook": key(
            "The URL that gets a JSON document; https:// or, if allowed, http://.",
            {"type": "string", "maxLength": MOST_URL},
            words=NOTHING,
        ),
        "mail": key(
            "The address; true or me: your mailbox on this machine.",
            {"type": ["string", "boolean"]},
            words=NOTHING,
        ),
        "on": key(
            "When: start, end, failure; elements: also for each element of an array.",
            {"oneOf": [{"enum": list(WHEN)}, {"type": "array", "items": {"enum": list(WHEN)}}]},
            default=["end"],
        ),
    }
)
NOTIFY = {
    "oneOf": [
        TEXT,
        _NOTIFY_LONG,
        {
            "type": "array",
            "items": {"oneOf": [TEXT, _NOTIFY_LONG]},
            "minItems": 1,
            "maxItems": MOST_TARGETS,
        },
    ]
}
ENVIRONMENT = {
    "oneOf": [
        {
            "type": "object",
            "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
        },
        {"type": "array", "items": TEXT},
    ]
}
ENV_FILE = mapping(
    {
        "path": key("The file.", TEXT, words=REQUIRED),
        "required": key("Whether the file must exist.", BOOLEAN, default=True),
        "format": key("raw: as `docker run` reads it.", {"const": "raw"}, words="as Compose"),
    },
    ("path",),
)
SECRETS = {
    "type": "object",
    "maxProperties": JobSpec.MOST_SECRETS,
    "patternProperties": {r"^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}$": TEXT, "^x-": True},
    "additionalProperties": False,
}
