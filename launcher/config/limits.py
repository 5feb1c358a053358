"""The table ``[limits]`` of launcher.toml: how much one user may ask of the daemon at once."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.toml_kinds import PositiveDuration, PositiveFloat, PositiveInt, Share


@dataclass(frozen=True, slots=True)
class Limits:
    """What one user may ask; times are seconds.

    ``connections`` and the times bind everybody, the rest everybody but admins: who repairs a
    machine must not be slowed, and who forgets to close connections must not stop it either.
    Each rate may be saved up: requests for ten seconds, the others for a minute.
    """

    connections: PositiveInt = 256  #: open at once, by uid
    streams: PositiveInt = 128  #: requests that follow or wait: run, logs -f, wait
    requests_per_second: PositiveFloat = 50.0  #: ten seconds' worth may come at once
    submits_per_minute: PositiveFloat = 300.0  #: each 64 KiB of a submit counts as one more
    #: new jobs, also elements and retries; five times as many changed
    jobs_per_minute: PositiveFloat = 10_000.0
    loop_share: Share = 0.1  #: part of the daemon's time that a user has before others
    head_time: PositiveDuration = 10.0  #: the longest time for a request's head
    body_time: PositiveDuration = 30.0  #: the longest time for a request's body
    idle_time: PositiveDuration = 60.0  #: an idle connection is closed after this time
