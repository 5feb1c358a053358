"""The daemon's log on stderr, as text or as JSON; a record about a job has its id."""

from __future__ import annotations

import datetime
import logging
import sys
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from launcher.core.model.ids import attempt_of_name

QUIET = ("aiohttp.access", "asyncio", "docker", "urllib3")
FIELDS = {"asctime": "time", "levelname": "level", "name": "logger"}


def configure(level: str, form: str) -> None:
    """Send the log to stderr from now on; ``form`` is ``text`` or ``json``."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Json() if form == "json" else Text())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in QUIET:
        logging.getLogger(noisy).setLevel(logging.WARNING)


def about(
    log: logging.Logger, job: int | None, attempt: int | None = None
) -> logging.LoggerAdapter[logging.Logger]:
    """Return a logger whose records name a job, and its attempt if known."""
    extra = {"job": job, "attempt": attempt}
    return logging.LoggerAdapter(log, {k: v for k, v in extra.items() if v is not None})


def about_container(log: logging.Logger, name: str) -> logging.LoggerAdapter[logging.Logger]:
    """Return a logger whose records name the attempt that a container's name contains."""
    job, attempt = attempt_of_name(name) or (None, None)
    return about(log, job, attempt)


def about_event(log: logging.Logger, event: Any) -> logging.LoggerAdapter[logging.Logger]:
    """Return a logger whose records name the job of an event or action, if it has one."""
    job, attempt = getattr(event, "job", None), getattr(event, "attempt", None)
    return about(
        log,
        job if isinstance(job, int) else None,
        attempt if isinstance(attempt, int) else None,
    )


class Text(logging.Formatter):
    """One line per record, with its job in front of the message."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(about)s%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, followed by the traceback if there is one."""
        job, attempt = getattr(record, "job", None), getattr(record, "attempt", None)
        which = "" if attempt is None else f" attempt {attempt}"
        record.about = "" if job is None else f"job {job}{which}: "
        return super().format(record)


class Json(JsonFormatter):
    """One JSON object a record: time (RFC 3339), level, logger, message, job, attempt, exc_info."""

    def __init__(self) -> None:
        super().__init__([*FIELDS, "message"], rename_fields=FIELDS)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        """Return the time with six decimals and Z."""
        at = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
