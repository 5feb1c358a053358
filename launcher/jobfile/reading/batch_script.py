"""Batch scripts of Slurm that are given as job files: what to write for each of their lines."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from launcher.errors import JobFileError
from launcher.jobfile.reading.sbatch_words import BY_NAME, key_for

MOST_LINES = 40
"""The maximum number of lines that the answer has an entry for."""
_HEADER = re.compile(r"#SBATCH[ \t]+(\S.*)")
_FLAGS_WITHOUT_VALUE = frozenset(
    {"--exclusive", "--requeue", "--no-requeue", "-H", "--hold", "--parsable", "--test-only",
     "--contiguous", "--spread-job", "--no-kill"}
)  # fmt: skip


def check_script(text: str, file: str) -> None:
    """Raise ``JobFileError`` for a script, with what to write in a job file for its headers."""
    lines = text.split("\n", 10_000)
    headers = [(n, m[1]) for n, line in enumerate(lines, 1) if (m := _HEADER.match(line))]
    if not headers and not text.startswith("#!"):
        return
    if not headers:
        raise JobFileError(
            "this is a script, not a job file",
            file=file,
            line=1,
            column=1,
            fix=f"Run it in an image that has it: `launch run -d IMAGE sh {file}`, with"
            " -v for its directory.",
        )
    answers = [
        f"line {number}: {written}  ->  {answer}"
        for number, header in headers[:MOST_LINES]
        for written, answer in answers_to(header)
    ]
    more = [f"and {len(headers) - MOST_LINES} lines more"] if len(headers) > MOST_LINES else []
    raise JobFileError(
        "this is a batch script of Slurm, not a job file",
        file=file,
        line=headers[0][0],
        column=1,
        fix="\n  ".join(
            [
                "Write a job file with `image:`, the commands as `command:`, and for the headers:",
                *answers,
                *more,
                "`schedule:` is one mapping. `launch help job-files` shows a job file.",
            ]
        ),
    )


def answers_to(header: str) -> Iterator[tuple[str, str]]:
    """Yield (option as it was written, what to write) of what follows ``#SBATCH``."""
    try:
        words = shlex.split(header, comments=True)
    except ValueError:  # an open quote
        words = header.split()
    while words:
        word = words.pop(0)
        name, value = word, ""
        if word.startswith("--"):
            name, _, value = word.partition("=")
        elif word.startswith("-") and len(word) > 2:
            name, value = word[:2], word[2:].removeprefix("=")
        if not word.startswith("-"):
            yield word, "not an option of sbatch: leave it out"
            continue
        takes_value = name in BY_NAME and name not in _FLAGS_WITHOUT_VALUE
        if takes_value and not value and "=" not in word and words and words[0][:1] != "-":
            value = words.pop(0)
            word = f"{word} {value}"
        yield word, key_for(name, value)
