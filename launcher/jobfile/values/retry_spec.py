"""The words for running a job again: how often, after which ends, after what wait.

Every function raises ``ValueError`` with a message for people.
"""

from __future__ import annotations

import re

from launcher.spec.job_spec import Retries

MOST_RETRIES = 100
ENDS = ("infra", "oom", "timeout", "any")

_EXIT = re.compile(r"exit:(\d{1,3})(?:-(\d{1,3}))?", re.ASCII)
_WHAT = f"write {', '.join(ENDS)}, exit:75 or exit:1-3"


def parse_retries(text: str) -> int:
    """Return how many times a job may run again."""
    word = text.strip()
    if not re.fullmatch(r"\d{1,4}", word, re.ASCII) or int(word) > MOST_RETRIES:
        raise ValueError(
            f"'{text[:32]}' is not a valid number of retries: "
            f"write a whole number from 0 to {MOST_RETRIES}"
        )
    return int(word)


def parse_retry_on(text: str) -> list[str]:
    """Return the ends that a comma-separated list names, each once.

    >>> parse_retry_on("infra,oom,exit:75")
    ['infra', 'oom', 'exit:75']
    """
    return list(dict.fromkeys(_end(word) for word in text.split(",")))


def retry_request(
    retries: int,
    on: list[str] | None = None,
    backoff: float | None = None,
    max_backoff: float | None = None,
) -> Retries:
    """Return the request of these values; what is None has its default. Times are seconds."""
    default = Retries()
    first = default.backoff if backoff is None else backoff
    if max_backoff is None:
        max_backoff = max(default.max_backoff, first)
    if max_backoff < first:
        raise ValueError(
            f"the longest wait of {max_backoff:g}s is shorter than the first, {first:g}s"
        )
    return Retries(
        max=retries,
        on=default.on if on is None else tuple(on),
        backoff=first,
        max_backoff=max_backoff,
    )


def _end(text: str) -> str:
    word = text.strip()
    if word in ENDS:
        return word
    match = _EXIT.fullmatch(word)
    if not match:
        raise ValueError(f"'{word[:32]}' is not an end that can be retried: {_WHAT}")
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        raise ValueError(f"'{word}' goes down: write exit:{last}-{first}")
    if first == 0:
        raise ValueError(f"'{word}': exit code 0 is success, and a success is not run again")
    if last > 255:
        raise ValueError(f"'{word}' is not a valid exit code: they go from 1 to 255")
    return f"exit:{first}" if first == last else f"exit:{first}-{last}"
