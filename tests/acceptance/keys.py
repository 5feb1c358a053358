"""The keys of JSON documents that programs rely on, and how a moment is written in them."""

from __future__ import annotations

import re

JOB_KEYS = [
    "id", "name", "user", "state", "outcome", "reason", "profile", "count", "slices", "image",
    "command", "priority", "array", "attempt", "exit_code", "submitted_at", "started_at",
    "ended_at", "container_id",
]  # fmt: skip
SLICE_KEYS = [
    "uuid", "gpu", "gpu_index", "profile", "memory_mib", "gi", "ci", "placement", "state", "job",
    "attempt", "user", "made_by",
]  # fmt: skip
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
