"""The JSON Schema of the job file, for editors; ``make docs`` writes it.

Made from the table of keys, so that a key cannot be read and not described, or the reverse. Units
and names are only sketched by patterns: the launcher itself says what is wrong with them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, get_args

from launcher.interpolation import KEY
from launcher.jobfile.reading.keys import JOB, SCHEDULE
from launcher.jobfile.values.retry_spec import MOST_RETRIES
from launcher.jobfile.values.waiting import COMPOSE
from launcher.spec.conditions import CONDITIONS
from launcher.spec.gpus import GpuCapability
from launcher.spec.job_spec import ULIMITS, ArrayRequest, JobSpec
from launcher.spec.plain_fields import PLAIN_FIELDS

FILE = Path(__file__).parents[1] / "schema.json"

_TEXT: dict[str, Any] = {"type": "string"}
_WORD = {"type": ["string", "number", "boolean"]}
_DURATION = {"type": "string", "pattern": r"^(\d+d)?(\d+h)?(\d+m)?(\d+s)?$|^(\d+-)?\d+:\d\d:\d\d$"}
_SIZE = {"type": ["string", "integer"], "pattern": r"^\d+(\.\d+)?\s*([bkmgtBKMGT]([iI]?[bB])?)?$"}
_WORDS = {"oneOf": [_TEXT, {"type": "array", "items": _WORD}]}
_CONDITION = {
    "type": "object",
    "properties": {
        "condition": {
            "enum": [*COMPOSE, *CONDITIONS],
        },
        "delay": _DURATION,
    },
    "additionalProperties": False,
}
_COUNT = {"type": "integer", "minimum": 1, "maximum": 128}
_PARALLEL = {"type": "integer", "minimum": 1, "maximum": ArrayRequest.MAX_ELEMENTS}
_RETRIES = {"type": "integer", "minimum": 0, "maximum": MOST_RETRIES}


def _mapping(properties: dict[str, Any], required: tuple[str, ...] = ()) -> dict[str, Any]:
    result: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "patternProperties": {"^x-": True},
        "additionalProperties": False,
    }
    return {**result, "required": list(required)} if required else result


def _job(properties: dict[str, Any]) -> dict[str, Any]:
    needs = [{"required": ["image"]}, {"required": ["runtime", "command"]}]
    return {**_mapping(properties), "oneOf": needs}


_ASKED = {"profile": _TEXT, "memory": _TEXT}
_GPUS_LONG = _mapping(
    {
        **_ASKED,
        "count": _COUNT,
        "driver": {"const": "nvidia"},
        "options": _mapping(_ASKED),
        "capabilities": {
            "type": "array",
            "items": {"enum": ["gpu", "all", *get_args(GpuCapability)]},
        },
        "device_ids": {"type": "array", "items": _TEXT, "minItems": 1},
    }
)
_VOLUME_LONG = _mapping(
    {
        "type": {"const": "bind"},
        "source": _TEXT,
        "target": _TEXT,
        "read_only": {"type": "boolean"},
    },
    ("source", "target"),
)
_LIMIT = {"type": "integer", "minimum": -1}
_ULIMIT = {"oneOf": [_LIMIT, _mapping({"soft": _LIMIT, "hard": _LIMIT}, ("soft", "hard"))]}
_KEY = f"^{KEY.pattern}$"
_COMBINATIONS = {
    "type": "array",
    "items": {
        "type": "object",
        "minProperties": 1,
        "patternProperties": {_KEY: _WORD},
        "additionalProperties": False,
    },
}
_MATRIX = {
    "type": "object",
    "minProperties": 1,
    "properties": {"exclude": _COMBINATIONS, "include": _COMBINATIONS},
    "patternProperties": {
        "^(?!(exclude|include)$)" + _KEY[1:]: {"type": "array", "items": _WORD, "minItems": 1}
    },
    "additionalProperties": False,
}
_END = {"type": "string", "pattern": r"^(infra|oom|timeout|any|exit:\d{1,3}(-\d{1,3})?)$"}
_RETRIES_LONG = _mapping(
    {
        "max": _RETRIES,
        "on": {"oneOf": [_TEXT, {"type": "array", "items": _END, "minItems": 1}]},
        "backoff": _DURATION,
        "max_backoff": _DURATION,
    },
    ("max",),
)
_ENVIRONMENT = {
    "oneOf": [
        {
            "type": "object",
            "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
        },
        {"type": "array", "items": _TEXT},
    ]
}

_ENV_FILE = _mapping(
    {"path": _TEXT, "required": {"type": "boolean"}, "format": {"const": "raw"}}, ("path",)
)

DESCRIBED: dict[str, tuple[str, dict[str, Any]]] = {
    "name": ("The job's name; the image's if absent.",
             {**_TEXT, "pattern": "^[A-Za-z0-9_][A-Za-z0-9._-]{0,62}$"}),
    "image": ("The image: [registry/]name[:tag][@digest].", _TEXT),
    "runtime": ("A command on the machine itself, without a container.", {"enum": ["host"]}),
    "command": ("The command, as a list or as one line split like a shell's.", _WORDS),
    "entrypoint": ("In place of the image's entrypoint.", _WORDS),
    "gpus": ("What it needs: 1g.6gb, 1g.6gb:2, 10g, full, all, none, MIG-<uuid>.",
             {"oneOf": [_TEXT, _GPUS_LONG,
                        {"type": "array", "items": _GPUS_LONG, "minItems": 1, "maxItems": 1}]}),
    "environment": ("Variables; one without a value takes the submitter's.", _ENVIRONMENT),
    "env_file": ("Files of KEY=VALUE lines, read as Compose reads them, relative to this file.",
                 {"oneOf": [_TEXT, _ENV_FILE, {"type": "array",
                                               "items": {"oneOf": [_TEXT, _ENV_FILE]}}]}),
    "working_dir": ("Where the command starts.", {**_TEXT, "pattern": r"^(/|\$\{)"}),
    "volumes": ("Directories of the machine: SOURCE:TARGET[:ro].",
                {"type": "array", "items": {"oneOf": [_TEXT, _VOLUME_LONG]}}),
    "secrets": ("Files of the submitter's, NAME: FILE; the job reads /run/secrets/NAME.",
                {"type": "object", "maxProperties": JobSpec.MOST_SECRETS,
                 "patternProperties": {r"^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}$": _TEXT,
                                       "^x-": True},
                 "additionalProperties": False}),
    "home": ("HOME: a directory of the job's, removed with it (job), or the user's own (real).",
             {"enum": ["job", "real"]}),
    "tmp": ("Where /tmp is: on disk if absent; memory counts as the job's.",
            {"enum": ["disk", "memory"]}),
    "ulimits": ("Limits of the kernel: memlock, stack, nofile, nproc; -1 means unlimited.",
                {"type": "object", "additionalProperties": False,
                 "properties": dict.fromkeys(ULIMITS, _ULIMIT)}),
    "shm_size": ("Size of /dev/shm; half of the job's memory if absent.", _SIZE),
    "mem_limit": ("Memory limit.", _SIZE),
    "cpus": ("Cores.", {"type": ["number", "string"], "minimum": 0.01}),
    "user": ("user[:group] in the container.", {"type": ["string", "integer"]}),
    "network_mode": ("The network of jobs (see containers), or none.",
                     {"enum": ["default", "none", "host"]}),
    "profile": ("A profile of the policy that an admin made for your group.",
                {**_TEXT, "pattern": "^[a-z][a-z0-9._-]{0,62}$"}),
    "stop_grace_period": ("Time between stop signal and kill; 10s if absent.", _DURATION),
    "pull_policy": ("When to pull the image; missing if absent.",
                    {"enum": ["always", "missing", "never", "if_not_present"]}),
    "depends_on": ("What must end or start first: jobs of this file, or others by id (12, 12[3]).",
                   {"oneOf": [_TEXT, {"type": "array", "items": _WORD},
                              {"type": "object", "additionalProperties": _CONDITION}]}),
    "array": ("Indices of an array's elements, and how many run at once: 0-99, 1,3,5, 0-9:2%4.",
              {"type": ["string", "integer"], "minimum": 0, "maximum": ArrayRequest.MAX_INDEX,
               "pattern": r"^\d+(-\d+(:\d+)?)?(,\s*\d+(-\d+(:\d+)?)?)*(%\d+)?$"}),
    "matrix": ("One job for each combination; ${key} in the job's strings is its value.",
               _MATRIX),
    "max_parallel": ("How many of an array or a matrix run at once.", _PARALLEL),
    "begin": ("It starts no earlier: 2026-12-01T02:00 (local), 16:00, tomorrow, +2h.", _TEXT),
    "hold": ("It waits until it is released.", {"type": "boolean"}),
    "depends_any": ("One of `depends_on` suffices.", {"type": "boolean"}),
    "singleton": ("It waits for the end of your earlier jobs of this name.", {"type": "boolean"}),
    "priority": ("Higher goes first; 50 if absent.",
                 {"type": "integer", "minimum": 0, "maximum": 1000}),
    "time_limit": ("The job is stopped after this: 4h, 90m, [D-]HH:MM:SS.", _DURATION),
    "retries": ("How often it runs again, and after which ends; only after infra if not said.",
                {"oneOf": [_RETRIES, _RETRIES_LONG]}),
    "signal": ("A signal ahead of the time limit: SIGUSR1@60s.",
               {"oneOf": [_TEXT, _mapping({"name": _TEXT, "before": _DURATION},
                                          ("name", "before"))]}),
    "idle_timeout": ("It is stopped when no process has used its slices for this long.", _DURATION),
    "preemptible": ("It gives way to jobs of higher priority, and is queued again.",
                    {"type": "boolean"}),
    **{each.name: (each.help, {**_TEXT, "pattern": f"^{each.pattern}$"})
       for each in PLAIN_FIELDS},
}  # fmt: skip


def schema() -> dict[str, Any]:
    """Return the schema of a job file."""
    schedule = _mapping({key: _described(key) for key in SCHEDULE})
    keys = {key: _described(key) for key in JOB} | {"schedule": schedule}
    named = _job({key: value for key, value in keys.items() if key != "name"})
    jobs = {"type": "object", "minProperties": 1, "additionalProperties": {"$ref": "#/$defs/named"}}
    several = _mapping({"jobs": jobs}, ("jobs",))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A job file of the launcher: one job, or several under `jobs`",
        "oneOf": [{"$ref": "#/$defs/job"}, {"$ref": "#/$defs/several"}],
        "$defs": {"job": _job(keys), "named": named, "several": several},
    }


def text() -> str:
    """Return the schema as it is kept in the package."""
    return json.dumps(schema(), indent=2) + "\n"


def _described(key: str) -> dict[str, Any]:
    description, rule = DESCRIBED[key]
    return {"description": description, **rule}


if __name__ == "__main__":
    FILE.write_text(text())
    sys.stderr.write(f"wrote {FILE}\n")
