"""Reads job files: sizes first, then text, then jobs; all of them or one error."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from launcher.errors import JobFileError
from launcher.jobfile.compose.services import Picked
from launcher.jobfile.reading.batch_script import check_script
from launcher.jobfile.reading.jobs import MOST_PROBLEMS, read_jobs
from launcher.jobfile.reading.keys import Around
from launcher.jobfile.values.nodes import MAX_BYTES, SMALLER, read_node
from launcher.jobfile.variables.notices import Notices
from launcher.spec.job_spec import JobSpec

MOST_ERRORS = 20
MOST_LINKS = 40
"""As many symbolic links Linux follows (MAXSYMLINKS)."""
_DESCRIPTORS = re.compile(r"/proc/[0-9]+(/task/[0-9]+)?/fd")


def load_files(
    paths: Sequence[str],
    stdin: BinaryIO | None = None,
    *,
    services: Sequence[str] = (),
    notice: Callable[[str], None] = lambda text: None,
) -> list[JobSpec]:
    """Return the jobs of all files in their order; every mistake is said, and then nothing is.

    Of Compose files ``services`` are taken, or all. ``notice`` is told what is not a mistake.
    """
    jobs: list[JobSpec] = []
    problems: list[JobFileError] = []
    picked, notices = Picked(tuple(services)), Notices()
    if list(paths).count("-") > 1:
        raise JobFileError("`-` (standard input) can be read only once", file="-")
    for path in paths:
        try:
            data, file, base = _read(path, stdin)
            around = Around(base, os.environ, notices=notices, picked=picked)
            result, wrong = read_text(data, file, around)
        except JobFileError as error:
            result, wrong = [], [error]
        jobs += result
        problems += sorted(wrong, key=lambda problem: (problem.line, problem.column))
    for text in notices:
        notice(text)
    if problems:
        raise _together(problems)
    picked.check()
    return jobs


def load_text(
    data: bytes, file: str, base: Path, *, client: Mapping[str, str]
) -> tuple[list[JobSpec], list[JobFileError]]:
    """Return the jobs in a file's bytes and what is wrong with them."""
    return read_text(data, file, Around(base, client))


def read_text(data: bytes, file: str, around: Around) -> tuple[list[JobSpec], list[JobFileError]]:
    """Return the jobs in a file's bytes and what is wrong with them."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        raise JobFileError(
            "the file is not UTF-8 text", file=file, line=line, column=column
        ) from error
    check_script(text, file)
    return read_jobs(read_node(text, file), around)


def _read(path: str, stdin: BinaryIO | None) -> tuple[bytes, str, Path]:
    if path == "-":
        if stdin is None:
            raise JobFileError("there is no standard input to read", file="-")
        return _checked(stdin.read(MAX_BYTES + 1), "<stdin>"), "<stdin>", Path.cwd()
    try:
        with Path(path).open("rb") as stream:
            if stat.S_ISREG(mode := os.fstat(stream.fileno()).st_mode):
                _check_size(os.fstat(stream.fileno()).st_size, path)
            elif not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
                raise JobFileError("this is not a file", file=path)
            data = _checked(stream.read(MAX_BYTES + 1), path)
    except IsADirectoryError as error:
        raise JobFileError(
            "this is a directory", file=path, fix=f"Name its files: {path.rstrip('/')}/*.yaml"
        ) from error
    except (OSError, ValueError) as error:
        why = (getattr(error, "strerror", None) or str(error)).lower()
        raise JobFileError(f"cannot read the job file: {why}", file=path) from error
    return data, path, Path.cwd() if _is_descriptor(path) else Path(path).absolute().parent


def _is_descriptor(path: str) -> bool:
    """Whether a path names a file that a process has open: /dev/stdin, /dev/fd/N.

    What comes through one stands nowhere, as what comes from ``-``.
    """
    for _ in range(MOST_LINKS):
        folder, name = os.path.split(os.path.abspath(path))  # noqa: PTH100 - keeps symlinks
        folder = os.path.realpath(folder)
        if _DESCRIPTORS.fullmatch(folder):
            return True
        try:
            path = os.path.join(folder, os.readlink(os.path.join(folder, name)))  # noqa: PTH115, PTH118
        except OSError:
            return False
    return False


def _checked(data: bytes, file: str) -> bytes:
    _check_size(len(data), file)
    return data


def _check_size(size: int, file: str) -> None:
    if size > MAX_BYTES:
        raise JobFileError(
            f"a job file may have up to {MAX_BYTES // 1024} KiB", file=file, fix=SMALLER
        )


def _together(problems: list[JobFileError]) -> JobFileError:
    first = problems[0]
    if len(problems) == 1:
        return first
    lines = [problem.message for problem in problems[:MOST_ERRORS]]
    if len(problems) > MOST_ERRORS:
        more = len(problems) - MOST_ERRORS
        lines.append(f"… and {more if len(problems) < MOST_PROBLEMS else 'many'} more")
    error = JobFileError("", file=first.file, line=first.line, column=first.column)
    error.message = "\n".join(lines)
    error.args = (error.message,)
    return error
