"""The words for where a job is and how it ended, as filters take them."""

from __future__ import annotations

STATES = ("PENDING", "STARTING", "RUNNING", "COMPLETING")
"""Where a job is that has not ended."""
OUTCOMES = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "LOST")
"""How a job ended."""
SLURM = {
    "PD": "PENDING",
    "CF": "STARTING",
    "R": "RUNNING",
    "CG": "COMPLETING",
    "CD": "COMPLETED",
    "F": "FAILED",
    "CA": "CANCELLED",
    "TO": "TIMEOUT",
    "OOM": "OUT_OF_MEMORY",
}
"""Slurm's short words for them."""


def parse_states(text: str) -> frozenset[str]:
    """Return the words of a list with commas, in any case; ``ValueError`` names those there are.

    >>> sorted(parse_states("pending,R"))
    ['PENDING', 'RUNNING']
    """
    result = set()
    for part in text.split(","):
        word = part.strip().upper().replace("-", "_")
        word = SLURM.get(word, word)
        if word not in (*STATES, *OUTCOMES):
            known = ", ".join((*STATES, *OUTCOMES)).lower()
            raise ValueError(f"'{part.strip()[:40]}' is not a state of a job: write {known}")
        result.add(word)
    return frozenset(result)


def parse_live_states(text: str) -> frozenset[str]:
    """As ``parse_states``, only of jobs that have not ended."""
    result = parse_states(text)
    if ended := result & set(OUTCOMES):
        raise ValueError(
            f"jobs that are {min(ended)} have ended: write {', '.join(STATES).lower()}"
        )
    return result
