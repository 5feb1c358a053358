"""Writes a first job file: a few values, comments, and lines to use later.

Every value is quoted, so that its text comes out of the reader as it went in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from launcher.jobfile.reading.explained import explained, stored_schema

OPTIONAL = ("name", "environment", "volumes", "working_dir", "depends_on")
"""Keys that many jobs need: each as a comment, with its example of ``launch explain``."""
_ESCAPED = re.compile(
    r'[^\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd]|["\\\u2028-\u202e\u2066-\u2069]'
)


@dataclass(frozen=True, slots=True)
class FirstJob:
    """What a first job file says. No ``command``: the image's; no ``time_limit``: none.

    ``gpus`` and ``time_limit`` are texts that the reader takes, such as ``1g.6gb`` and ``4h``.
    """

    image: str
    command: Sequence[str] = ()
    gpus: str = "none"
    time_limit: str | None = None


def quoted(text: str) -> str:
    r"""Return a text in YAML's double quotes; what the reader refuses as it is, is written out.

    >>> print(quoted('a: "b"\n'))
    "a: \"b\"\n"
    """
    return f'"{_ESCAPED.sub(lambda match: _escape(match.group()), text)}"'


def _escape(letter: str) -> str:
    plain = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
    code = ord(letter)
    return plain.get(letter) or (f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}")


def flow(value: Any) -> str:
    """Return a value of an example on one line of YAML."""
    import yaml

    text = yaml.safe_dump(
        [value], default_flow_style=True, sort_keys=False, allow_unicode=True, width=float("inf")
    )
    return str(text).strip()[1:-1]


def job_file(job: FirstJob, file: str) -> str:
    """Return the text of a job file that is to have this name."""
    return "\n".join((*_header(file), *_values(job), *_later(job))) + "\n"


def _header(file: str) -> Iterable[str]:
    # A line end in the name would end the comment.
    name = quoted(file)[1:-1]
    yield f"# `launch submit {name}` queues this job; add --dry-run to check it only."
    yield "# `launch explain` lists all keys, `launch explain KEY` says what one means."


def _values(job: FirstJob) -> Iterable[str]:
    yield from ("", f"image: {quoted(job.image)}")
    if job.command:
        words = ", ".join(map(quoted, job.command))
        yield from ("", "# A word each; without it the image's own command runs.")
        yield f"command: [{words}]"
    yield from ("", "# A profile, a memory size such as 10g, full, or none: `launch slices`.")
    yield f"gpus: {quoted(job.gpus)}"
    if job.time_limit is not None:
        yield from ("", "schedule:", "  # The job is stopped after this: 90m, 4h, 1-12:00:00.")
        yield f"  time_limit: {quoted(job.time_limit)}"


def _later(job: FirstJob) -> Iterable[str]:
    """Yield the keys that are not used, as comments that become valid without their ``#``."""
    keys = explained(stored_schema())
    unused = [] if job.command else ["command"]
    unused += [] if job.time_limit is not None else ["schedule.time_limit"]
    yield from ("", "# Further keys; remove the # to use one.")
    for name in (*unused, *OPTIONAL):
        for key, value in keys[name].examples[0].items():
            yield f"#{key}: {flow(value)}"
