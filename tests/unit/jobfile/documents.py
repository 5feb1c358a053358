"""One job from the text of a job file, or what is said of it."""

from __future__ import annotations

from pathlib import Path

from launcher.errors import JobFileError
from launcher.jobfile.reading.files import load_text
from launcher.wire import JobSpec


def read(text: str) -> JobSpec:
    """Return the one job of a file that is well."""
    jobs, problems = load_text(text.encode(), "f.yaml", Path("/base"), client={})
    assert not problems, problems
    (job,) = jobs
    return job


def said(text: str) -> str:
    """Return what is wrong with a file, a line for each mistake, without the file's name."""
    try:
        jobs, problems = load_text(text.encode(), "f.yaml", Path("/base"), client={})
    except JobFileError as error:
        jobs, problems = [], [error]
    assert problems
    assert not jobs
    return "\n".join(str(each).removeprefix("f.yaml:") for each in problems)
