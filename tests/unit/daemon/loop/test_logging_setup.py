"""The daemon's own log: lines for people, or JSON; what is about a job carries it."""

from __future__ import annotations

import ast
import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

import launcher.daemon
from launcher.core.messages.actions import FollowAttempt
from launcher.core.messages.events import Tick
from launcher.daemon.loop.logging_setup import Json, Text, about, about_container, about_event

Lines = Callable[[], list[str]]


@pytest.fixture
def written() -> Iterator[Callable[[logging.Formatter], tuple[logging.Logger, Lines]]]:
    """Return a maker of a logger and of what it has written."""
    logger = logging.getLogger("launcher.daemon.example")
    logger.propagate = False
    handlers: list[logging.Handler] = []

    def make(formatter: logging.Formatter) -> tuple[logging.Logger, Lines]:
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        handler.setFormatter(formatter)
        logger.addHandler(handler)
        handlers.append(handler)
        return logger, lambda: stream.getvalue().splitlines()

    yield make
    for handler in handlers:
        logger.removeHandler(handler)
    logger.propagate = True


def test_json_is_one_object_a_line_with_the_job_where_there_is_one(written) -> None:  # type: ignore[no-untyped-def]
    log, lines = written(Json())
    log.warning('a %s\nof two lines, with "quotes" and ü', "text")
    about(log, 12, 3).warning("it is %s", "late")
    about_container(log, "launch-feed-7-2").error("gone")
    about_container(log, "web").error("not ours")
    plain, late, gone, foreign = map(json.loads, lines())
    assert list(plain) == ["time", "level", "logger", "message"]
    assert plain["message"] == 'a text\nof two lines, with "quotes" and ü'
    assert (plain["level"], plain["logger"]) == ("WARNING", "launcher.daemon.example")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", plain["time"])
    assert datetime.fromisoformat(plain["time"]).tzinfo is not None
    assert (late["job"], late["attempt"], late["message"]) == (12, 3, "it is late")
    assert (gone["job"], gone["attempt"]) == (7, 2)
    assert "job" not in foreign


def test_json_keeps_a_traceback_in_its_line(written) -> None:  # type: ignore[no-untyped-def]
    log, lines = written(Json())
    try:
        raise ValueError("broken")
    except ValueError:
        about(log, 5).exception("it failed")
    (told,) = map(json.loads, lines())
    assert told["job"] == 5
    assert "ValueError: broken" in told["exc_info"]


def test_text_carries_the_job_in_front_of_the_message(written) -> None:  # type: ignore[no-untyped-def]
    log, lines = written(Text())
    log.info("no job")
    about(log, 12).warning("held")
    about_event(log, FollowAttempt(12, 3, "launch-feed-12-3", ())).warning("late")
    about_event(log, Tick()).warning("time")
    told = [line.split("launcher.daemon.example: ")[1] for line in lines()]
    assert told == ["job 12: held", "job 12 attempt 3: late", "time"]


def test_no_message_of_the_daemon_names_a_job_without_carrying_it() -> None:
    """``log.warning("job %d ...")`` would be invisible to who filters by the field."""
    found = []
    for path in sorted(Path(launcher.daemon.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            plain = isinstance(node.func.value, ast.Name) and node.func.value.id == "log"
            names = {n.attr for a in node.args for n in ast.walk(a) if isinstance(n, ast.Attribute)}
            text = (
                node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else ""
            )
            of_job = {"job", "attempt", "container_name"} & names or "job %" in str(text)
            if plain and of_job:
                found.append(f"{path.name}:{node.lineno}")
    assert found == []
