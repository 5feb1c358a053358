"""A signal ahead of the time limit: ``SIGUSR1@60s``.

Every function raises ``ValueError`` with a message for people.
"""

from __future__ import annotations

from launcher.jobfile.values.units import parse_duration
from launcher.spec.job_spec import SignalBefore

_UNCATCHABLE = ("SIGKILL", "SIGSTOP")


def parse_signal(text: str) -> SignalBefore:
    """Return the signal of ``NAME@TIME``: which one, and how long before the time limit.

    >>> parse_signal("usr1@1m")
    SignalBefore(name='SIGUSR1', before=60.0)
    """
    name, at, before = text.strip().partition("@")
    if not at:
        raise ValueError(f"'{text[:32]}' does not say when: write SIGUSR1@60s")
    return SignalBefore(name=parse_name(name), before=parse_before(before))


def parse_name(text: str) -> str:
    """Return the full name of a signal that a program can catch; ``SIG`` may be left out."""
    from signal import Signals

    word = text.strip().upper()
    name = word if word.startswith("SIG") else f"SIG{word}"
    if word.isdecimal():
        raise ValueError(f"'{word[:32]}' is a number: write the signal's name, such as SIGUSR1")
    if name not in Signals.__members__:
        raise ValueError(
            f"'{text[:32]}' is not a valid signal: write a name such as SIGUSR1 or SIGTERM"
        )
    if name in _UNCATCHABLE:
        raise ValueError(f"{name} warns no program, it cannot be caught: write SIGUSR1 or SIGTERM")
    return Signals[name].name


def parse_before(text: str) -> float:
    """Return how many seconds before the time limit a signal is sent."""
    seconds = parse_duration(text)
    if seconds <= 0:
        raise ValueError(f"'{text}' is not a time before the time limit: write 60s")
    return seconds


def check_time(signal: SignalBefore, time_limit: float | None) -> None:
    """Refuse a signal that would be due before the job starts.

    Without a time limit of the job's own the daemon's default may hold: that is for it to say.
    """
    if time_limit is not None and signal.before >= time_limit:
        raise ValueError(
            f"{signal.name} is to be sent {signal.before:g}s before a time limit of"
            f" {time_limit:g}s: make the time limit longer or the time before it shorter"
        )
