"""The JSON Schema of the job file, for editors; ``make docs`` writes it.

Made from the table of keys, so that a key cannot be read and not described, or the reverse. Units
and names are only sketched by patterns: the launcher itself says what is wrong with them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from launcher.jobfile.reading.descriptions import DESCRIBED
from launcher.jobfile.reading.inner_keys import key, mapping
from launcher.jobfile.reading.keys import JOB, SCHEDULE

FILE = Path(__file__).parents[1] / "schema.json"


def _job(properties: dict[str, Any]) -> dict[str, Any]:
    needs = [{"required": ["image"]}, {"required": ["runtime", "command"]}]
    return {**mapping(properties), "oneOf": needs}


def schema() -> dict[str, Any]:
    """Return the schema of a job file."""
    schedule = key(
        "When the job runs, and how often.",
        mapping({name: DESCRIBED[name] for name in SCHEDULE}),
        {"time_limit": "4h", "retries": 2},
        default={},
    )
    keys = {name: DESCRIBED[name] for name in JOB} | {"schedule": schedule}
    named = _job({name: value for name, value in keys.items() if name != "name"})
    several = mapping({"jobs": _jobs()}, ("jobs",))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A job file of the launcher: one job, or several under `jobs`",
        "oneOf": [{"$ref": "#/$defs/job"}, {"$ref": "#/$defs/several"}],
        "$defs": {"job": _job(keys), "named": named, "several": several},
    }


def text() -> str:
    """Return the schema as it is kept in the package."""
    return json.dumps(schema(), indent=2) + "\n"


def _jobs() -> dict[str, Any]:
    each = {"$ref": "#/$defs/named"}
    return key(
        "Several jobs by name, in place of all other keys.",
        {"type": "object", "minProperties": 1, "additionalProperties": each},
        {
            "prepare": {"image": "busybox", "command": ["true"]},
            "train": {"image": "busybox", "depends_on": ["prepare"]},
        },
        words="the file is one job",
    )


if __name__ == "__main__":
    FILE.write_text(text())
    sys.stderr.write(f"wrote {FILE}\n")
