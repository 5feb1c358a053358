"""What each key of a job file means: its JSON Schema with meaning, default and examples.

The one source of ``schema.json``, of the manual's table and of ``launch explain``. A default is the
value that means the same as the key left out, or words where no value does (``x-default``). A key
inside another one is shown by the first example of the outer key that has it. ``x-along`` is what
an example needs beside it.
"""

from __future__ import annotations

from typing import Any

from launcher.jobfile.reading.inner_keys import (
    BOOLEAN,
    CONDITION,
    DURATION,
    ENV_FILE,
    ENVIRONMENT,
    GPUS_LONG,
    MATRIX,
    NOTHING,
    NOTIFY,
    PORT,
    RETRIES,
    RETRIES_LONG,
    SECRETS,
    SIGNAL_LONG,
    SIZE,
    TEXT,
    ULIMIT_KEYS,
    UUID,
    VOLUME_LONG,
    WORD,
    WORDS,
    key,
)
from launcher.spec.job_spec import ULIMITS, ArrayRequest
from launcher.spec.plain_fields import PLAIN_FIELDS

DESCRIBED: dict[str, dict[str, Any]] = {
    "name": key(
        "The job's name.",
        {**TEXT, "pattern": "^[A-Za-z0-9_][A-Za-z0-9._-]{0,62}$"},
        "train",
        words="the last part of the image's name",
    ),
    "image": key(
        "The image: [registry/]name[:tag][@digest].",
        TEXT,
        "nvcr.io/nvidia/pytorch:25.01-py3",
        words="required, except with `runtime: host`",
    ),
    "runtime": key(
        "A command on the machine itself, without a container.",
        {"enum": ["host"]},
        "host",
        words="a container",
        along={"command": ["nvidia-smi", "-L"]},
    ),
    "command": key(
        "The command, as a list or as one line split like a shell's.",
        WORDS,
        ["python", "train.py"],
        "python train.py",
        words="the image's",
    ),
    "entrypoint": key(
        "In place of the image's entrypoint; an empty one takes it away.",
        WORDS,
        ["/bin/sh", "-c"],
        "",
        words="the image's",
    ),
    "gpus": key(
        "What it needs: 1g.6gb, 1g.6gb:2, 10g, auto, full, all, none, MIG-<uuid>.",
        {
            "oneOf": [
                TEXT,
                GPUS_LONG,
                {"type": "array", "items": GPUS_LONG, "minItems": 1, "maxItems": 1},
            ]
        },
        "1g.6gb",
        {"profile": "1g.6gb", "count": 2},
        {"memory": "10g", "capabilities": ["video"]},
        {"memory": "auto"},
        {"driver": "nvidia", "options": {"profile": "1g.6gb"}},
        {"options": {"memory": "10g"}},
        {"device_ids": [UUID]},
        default="none",
    ),
    "environment": key(
        "Variables; one without a value takes the submitter's.",
        ENVIRONMENT,
        {"EPOCHS": 10},
        ["EPOCHS=10"],
        default={},
    ),
    "env_file": key(
        "Files of KEY=VALUE lines, read as Compose reads them, relative to this file.",
        {
            "oneOf": [
                TEXT,
                ENV_FILE,
                {"type": "array", "items": {"oneOf": [TEXT, ENV_FILE]}},
            ]
        },
        ".env",
        [".env", {"path": "local.env", "required": False, "format": "raw"}],
        default=[],
    ),
    "working_dir": key(
        "Where the command starts.",
        {**TEXT, "pattern": r"^(/|\$\{)"},
        "/work",
        words="the image's, or HOME where that is /; of a host job the directory of this file",
    ),
    "volumes": key(
        "Directories of the machine: SOURCE:TARGET[:ro].",
        {"type": "array", "items": {"oneOf": [TEXT, VOLUME_LONG]}},
        ["./src:/work:ro"],
        [{"type": "bind", "source": "/data/sets", "target": "/data", "read_only": True}],
        [
            {
                "source": "./out",
                "target": "/out",
                "bind": {
                    "create_host_path": False,
                    "selinux": "z",
                    "propagation": "rprivate",
                },
                "consistency": "cached",
            }
        ],
        default=[],
    ),
    "secrets": key(
        "Files of the submitter's, NAME: FILE; the job reads /run/secrets/NAME.",
        SECRETS,
        {"hf_token": "~/.hf_token"},
        default={},
    ),
    "home": key(
        "HOME: a directory of the job's, removed with it (job), or the user's own (real).",
        {"enum": ["job", "real"]},
        "real",
        default="job",
    ),
    "tmp": key(
        "Where /tmp is; memory counts as the job's.",
        {"enum": ["disk", "memory"]},
        "memory",
        default="disk",
    ),
    "ulimits": key(
        "Limits of the kernel; -1 means unlimited.",
        {"type": "object", "additionalProperties": False, "properties": ULIMIT_KEYS},
        {"memlock": -1, "stack": 67108864},
        *({name: {"soft": 4096, "hard": 8192}} for name in ULIMITS),
        default={},
    ),
    "shm_size": key(
        "Size of /dev/shm.",
        SIZE,
        "8g",
        words="half of the job's memory, at most an eighth of the machine's for each slice",
    ),
    "mem_limit": key(
        "Memory limit.",
        SIZE,
        "24g",
        words="the machine's memory times the share of its slices; or `memory` of `[policy]`",
    ),
    "cpus": key(
        "Cores.",
        {"type": ["number", "string"], "minimum": 0.01},
        4,
        words="no limit; 1 without a GPU",
    ),
    "user": key(
        "user[:group] in the container; only root's jobs may choose another.",
        {"type": ["string", "integer"]},
        "1000:1000",
        words="the submitter; of root's jobs the image's",
    ),
    "network_mode": key(
        "The network of jobs (see containers), or none; host where a profile opens it.",
        {"enum": ["default", "none", "host"]},
        "none",
        words="the network of jobs",
    ),
    "profile": key(
        "A profile of the policy that an admin made for your group.",
        {**TEXT, "pattern": "^[a-z][a-z0-9._-]{0,62}$"},
        "big-jobs",
        words=NOTHING,
    ),
    "ports": key(
        "Ports of the container that a socket of yours leads to: `launch port JOB` names it.",
        {"oneOf": [PORT, {"type": "array", "items": PORT}]},
        [8888],
        8888,
        default=[],
    ),
    "loopback": key(
        "Each of its ports also gets a port of 127.0.0.1, open to every user of the machine.",
        BOOLEAN,
        True,
        default=False,
        along={"ports": [8888]},
    ),
    "tty": key(
        "The container has a terminal; stdout and stderr are one.", BOOLEAN, True, default=False
    ),
    "stdin_open": key(
        "It reads what `launch attach` sends, so it ends when nobody is attached for long.",
        BOOLEAN,
        True,
        default=False,
    ),
    "stop_grace_period": key("Time between stop signal and kill.", DURATION, "60s", default="10s"),
    "pull_policy": key(
        "When to pull the image.",
        {"enum": ["always", "missing", "never", "if_not_present"]},
        "always",
        default="missing",
    ),
    "depends_on": key(
        "What must end or start first: jobs of this submit, or others by id (12, 12[3]).",
        {
            "oneOf": [
                TEXT,
                {"type": "array", "items": WORD},
                {"type": "object", "additionalProperties": CONDITION},
            ]
        },
        ["prepare", "12"],
        {"prepare": {"condition": "afterany"}},
        {"server": {"condition": "after", "delay": "10m"}},
        default=[],
    ),
    "array": key(
        "Indices of an array's elements, and how many run at once.",
        {
            "type": ["string", "integer"],
            "minimum": 0,
            "maximum": ArrayRequest.MAX_INDEX,
            "pattern": r"^\d+(-\d+(:\d+)?)?(,\s*\d+(-\d+(:\d+)?)?)*(%\d+)?$",
        },
        "0-99",
        "1,3,5",
        "0-9:2%4",
        words="one job",
    ),
    "matrix": key(
        "One job for each combination; ${key} in the job's strings is its value.",
        MATRIX,
        {"lr": [0.1, 0.01], "seed": [1, 2]},
        {
            "lr": [0.1, 0.01],
            "seed": [1, 2],
            "exclude": [{"lr": 0.1, "seed": 2}],
            "include": [{"lr": 0.01, "epochs": 20}],
        },
        words="one job",
        along={"command": "train --lr ${lr} --seed ${seed}"},
    ),
    "max_parallel": key(
        "How many of an array or a matrix run at once.",
        {"type": "integer", "minimum": 1, "maximum": ArrayRequest.MAX_ELEMENTS},
        4,
        words="no limit",
        along={"array": "0-99"},
    ),
    "begin": key(
        "It starts no earlier: a local time, a time with its zone, or from now.",
        TEXT,
        "2026-12-01T02:00",
        "16:00",
        "tomorrow",
        "+2h",
        words="at once",
    ),
    "hold": key("It waits until `launch release`.", BOOLEAN, True, default=False),
    "depends_any": key(
        "One of `depends_on` suffices.",
        BOOLEAN,
        True,
        default=False,
        along={"depends_on": ["12", "13"]},
    ),
    "singleton": key(
        "It waits for the end of your earlier jobs of this name.",
        BOOLEAN,
        True,
        default=False,
        along={"name": "train"},
    ),
    "priority": key(
        "Higher goes first; more than 50 needs an admin.",
        {"type": "integer", "minimum": 0, "maximum": 1000},
        10,
        default=50,
    ),
    "time_limit": key(
        "The job is stopped after this.", DURATION, "4h", "90m", "1-12:00:00", words="no limit"
    ),
    "retries": key(
        "How often it runs again, and after which ends.",
        {"oneOf": [RETRIES, RETRIES_LONG]},
        2,
        {"max": 2, "on": ["infra", "oom", "exit:75"], "backoff": "30s", "max_backoff": "2h"},
        default=0,
    ),
    "signal": key(
        "A signal ahead of the time limit.",
        {"oneOf": [TEXT, SIGNAL_LONG]},
        "SIGUSR1@60s",
        {"name": "SIGUSR1", "before": "60s"},
        words=NOTHING,
        along={"schedule": {"time_limit": "4h"}},
    ),
    "idle_timeout": key(
        "It is stopped when no process has used its slices for this long.",
        DURATION,
        "30m",
        words="no limit",
        along={"gpus": "1g.6gb"},
    ),
    "notify": key(
        "Who is told of its end, and by what: a webhook, a mail; none for nobody.",
        NOTIFY,
        "mail",
        [
            {"webhook": "https://ntfy.example.org/mine", "on": ["start", "failure"]},
            {"mail": "alice@example.org"},
        ],
        words="what `launch notify` says",
    ),
    "preemptible": key(
        "It gives way to jobs of higher priority, and is queued again.",
        BOOLEAN,
        True,
        default=False,
    ),
    **{
        each.name: key(
            each.help,
            {**TEXT, "pattern": f"^{each.pattern}$"},
            each.example,
            words=each.default,
        )
        for each in PLAIN_FIELDS
    },
}
