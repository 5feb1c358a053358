"""Every verb against a daemon whose every text is hostile: nothing of it may steer a terminal."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from launcher import errors, wire
from launcher.cli.app import GROUPS
from launcher.cli.completion.values import KINDS, values
from launcher.cli.live.app import TopApp
from launcher.client import Client
from launcher.client.aio.client import AsyncClient
from launcher.client.snapshot import read
from launcher.daemon.api.routes import ROUTES
from launcher.text.safe_text import UNSEEN
from launcher.wire import END, EVENT, NOTE, STDOUT, Frame
from tests.unit.cli.launch_command import Launch
from tests.unit.cli.live.test_top_keys import shown
from tests.unit.client.stub_daemon import Asked, Json, Reply, Stream, StubDaemon

EVIL = "\x1b]0;x\x07\u202e\x9b31m<script>\x00\x7f\u2066\u200f\ufeff\r\x1b[2J&\"'\ud800"
DANGEROUS = re.compile(rf"(?!\n)[\x00-\x1f\x7f-\x9f{UNSEEN}\ud800-\udfff]")

VERBS: dict[str, list[list[str]]] = {
    "run": [["busybox", "true"], ["-d", "busybox"], ["-d", "--array", "0-3", "busybox"]],
    "host": [["--", "true"]],
    "submit": [["FILE"], ["--dry-run", "FILE"], ["--wait", "FILE"]],
    "ps": [[], ["-a"], ["12"], ["-o", "name"]],
    "show": [["12"], ["x"], ["7"], ["--docker", "12"]],
    "why": [["12"]],
    "port": [["12"]],
    "logs": [["12"], ["-f", "12"], ["-t", "12"]],
    "wait": [["12"], ["12", "13"]],
    "cancel": [["12"], ["--user", "me"]],
    "hold": [["12"]],
    "release": [["12"]],
    "retry": [["12"]],
    "requeue": [["12"]],
    "notify": [[], ["set", "mail"], ["clear"], ["test"], ["show", "-o", "json"]],
    "edit": [["12", "--priority", "3"]],
    "queue": [[]],
    "whatif": [[], ["--layout", "1g.6gb:4"], ["-o", "svg=SVG"]],
    "advice": [[], ["--user", "me"], ["-o", "json"]],
    "reserve": [
        [], ["x", "--cancel"],
        ["x", "--profile", "1g.6gb", "--user", "root", "--begin", "+1h", "--for", "1h"],
    ],
    "top": [["--once"]],
    "slices": [[], ["--why"], ["-o", "name"]],
    "layout": [
        ["show"], ["profiles"], ["plan", "1g.6gb"], ["assert", "1g.6gb"],
        ["apply", "1g.6gb"], ["create", "1g.6gb"],
        ["destroy", "MIG-1"], ["clear"], ["enable"], ["disable"], ["save"], ["restore"],
        ["export"], ["changes"], ["cancel", "7"],
    ],
    "drain": [["0"]],
    "undrain": [["0"]],
    "image": [
        [], ["-o", "json"], ["publish", "--all"],
        ["publish", "busybox", "-o", "name"],
        ["ls"],
        ["ls", "-o", "json"],
        ["rm", "localhost/a"],
        ["load", "FILE"],
    ],
    "usage": [["--disk"], ["--disk", "-o", "json"], [], ["-o", "csv"], ["-o", "svg"],
              ["--jobs"], ["--jobs", "-o", "csv"]],
    "clear-cache": [[]],
    "stop": [[]],
    "status": [[], ["-o", "name"]],
    "audit": [[]],
    "events": [["--since", "1d"]],
    "prune": [["--dry-run"], ["--logs"]],
    "backup": [["BACKUP"]],
    "dashboard": [[]],
    "login": [["-u", "me", "--password-stdin", "nvcr.io"]],
    "doctor": [[], ["--fix"], ["-o", "name"]],
}  # fmt: skip
CASES = [(verb, words) for verb, lines in VERBS.items() for words in lines]
NO_JSON = {"dashboard", "run", "host", "logs", "export", "login", "backup"}


def hostile(kind: Any, pending: bool = False) -> Any:
    """Return a value of a wire type whose every text is evil, as JSON has it."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        found = {each.name: hostile(hints[each.name], pending) for each in dataclasses.fields(kind)}
        if kind is wire.JobView and pending:
            found |= {"state": "PENDING", "outcome": None}
        if kind is wire.LayoutChange:
            found |= {"state": "done", "result": "failed"}
        return found
    if origin in (typing.Union, types.UnionType):
        return hostile(inner[0], pending)
    if origin in (list, tuple):
        return [hostile(inner[0], pending)]
    if origin is dict:
        if inner[1] is Any:
            return {"id": 7, "index": EVIL, "matrix": {EVIL: EVIL}, EVIL: EVIL}
        return {EVIL: hostile(inner[1], pending)}
    if origin is typing.Literal:
        return inner[0]
    return {str: EVIL, int: 1, float: 1.5, bool: True}.get(kind, EVIL)


class HostileDaemon(StubDaemon):
    """Answers every route of the API with what its type allows at worst."""

    refuses: int | None = None
    pending = False

    def reply_to(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        if self.refuses is not None:
            told = {"kind": "not-allowed", "message": EVIL, "fix": EVIL}
            return Json(told, self.refuses)
        for route in ROUTES:
            path = re.sub(r"{\w+}", "[^/]+", route.path)
            if route.method == asked.method and re.fullmatch(path, asked.path):
                if route.reply is None:
                    return Stream([*self._frames()])
                return Json(hostile(route.reply, self.pending), route.status)
        raise AssertionError(f"{asked.method} {asked.path} is not a route")

    def _frames(self) -> Iterator[Frame]:
        blocker = hostile(wire.BlockerView)
        layers = {"layers": [{"id": EVIL, "status": EVIL, "current": 1, "total": 2}]}
        for pending, progress in ((True, None), (True, layers), (False, None)):
            job = hostile(wire.JobView, pending)
            event = {"job": job, "blockers": [blocker], "progress": progress}
            yield Frame(EVENT, 0, json.dumps(event).encode())
        yield Frame(NOTE, 0, EVIL.encode("utf-8", "replace"))
        yield Frame(STDOUT, 0, b"plain\n")
        end = hostile(wire.JobView) | {"outcome": "FAILED", "state": "DONE"}
        yield Frame(END, 0, json.dumps(end).encode())


@pytest.fixture
def evil(
    short_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[HostileDaemon]:
    daemon = HostileDaemon(short_dir / "evil.sock")
    daemon.version = re.sub("[\r\x00]", "", EVIL).encode("utf-8", "ignore").decode("latin-1")
    monkeypatch.setenv("LAUNCHER_SOCKET", daemon.path)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "none"))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"image: busybox\n")))
    yield daemon
    daemon.stop()


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    file = tmp_path / "job.yaml"
    file.write_text("image: busybox\n")
    return {
        "FILE": str(file),
        "BACKUP": str(tmp_path / "backup"),
        "svg=SVG": f"svg={tmp_path / 'x.svg'}",
    }


def must_be_harmless(text: str) -> None:
    found = DANGEROUS.search(text)
    assert found is None, f"{found!r} in {text[max(0, found.start() - 60) : found.end() + 20]!r}"


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from strings(each)


def test_every_verb_is_here() -> None:
    # They ask no daemon, or need a terminal; `init` asks on one, see its own tests.
    silent = {"serve", "install-service", "restore", "init", "explain", "help", "completion"}
    silent |= {"attach", "exec", "shell"}  # their streams are no frames: test_terminal_session
    silent |= {"web"}  # tests/unit/web
    assert {verb for verbs in GROUPS.values() for verb in verbs} == VERBS.keys() | silent


@pytest.mark.parametrize("pending", [False, True])
@pytest.mark.parametrize(("verb", "words"), CASES)
def test_no_text_of_a_daemon_reaches_the_terminal_as_it_is(
    verb: str, words: list[str], pending: bool, evil: HostileDaemon, launch: Launch,
    places: dict[str, str],
) -> None:  # fmt: skip
    evil.pending = pending and verb not in ("wait", "submit")
    result = launch(verb, *(places.get(word, word) for word in words))
    assert evil.asked, f"nothing was asked: {result}"
    assert "internal error" not in result.err
    must_be_harmless(result.out)
    must_be_harmless(result.err)


@pytest.mark.parametrize(("verb", "words"), CASES)
def test_no_error_of_a_daemon_reaches_the_terminal_as_it_is(
    verb: str, words: list[str], evil: HostileDaemon, launch: Launch, places: dict[str, str]
) -> None:
    evil.refuses = 403
    result = launch(verb, *(places.get(word, word) for word in words))
    assert result.code != 0
    assert "script" in result.err
    must_be_harmless(result.out + result.err)


@pytest.mark.parametrize(
    ("verb", "words"),
    [(v, w) for v, w in CASES if "-o" not in w and v not in NO_JSON and w[:1] != ["export"]],
)
def test_json_stays_json_and_harmless(
    verb: str, words: list[str], evil: HostileDaemon, launch: Launch, places: dict[str, str]
) -> None:
    result = launch(verb, *(places.get(word, word) for word in words), "-o", "json")
    if result.code == 2:
        assert "No such option" in result.err
        return
    must_be_harmless(result.out + result.err)
    texts = set(strings(json.loads(result.out)))
    assert EVIL in texts or not any("script" in text for text in texts)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_completes_is_harmless(
    kind: str, evil: HostileDaemon, capfd: pytest.CaptureFixture[str]
) -> None:
    pairs = values(kind, "")
    assert evil.asked
    assert all(re.fullmatch("[a-z0-9]+", value) for value, _ in pairs)
    for _, text in pairs:
        must_be_harmless(text)
    assert capfd.readouterr() == ("", "")


def test_a_picture_is_well_formed_and_runs_nothing(
    evil: HostileDaemon, launch: Launch, places: dict[str, str]
) -> None:
    result = launch("whatif", "-o", places["svg=SVG"])
    assert result.code == 0, result
    text = Path(places["svg=SVG"].removeprefix("svg=")).read_text("utf-8")
    must_be_harmless(text)
    tags = {each.tag.rpartition("}")[2] for each in ET.fromstring(text).iter()}
    assert "script" not in tags
    assert "<script" not in text


def test_the_live_view_and_its_screens_are_harmless(evil: HostileDaemon) -> None:
    evil.pending = True

    async def body() -> list[str]:
        app = TopApp(AsyncClient(evil.path), read(Client(evil.path)), EVIL)
        texts = []
        async with asyncio.timeout(60), app.run_test(size=(120, 40)) as pilot:
            for keys in (["j"], ["m", "m"], ["c"], ["y"], ["h"], ["l"], ["escape"], ["end", "l"]):
                await pilot.press(*keys)
                await pilot.pause(0.3)
                texts.append(shown(app))
        assert app.failure is None
        return texts

    for text in asyncio.run(body()):
        assert text.strip()
        must_be_harmless(text)


def test_what_is_not_foreseen_is_told_harmlessly(
    evil: HostileDaemon, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> object:
        raise errors.InternalError(EVIL)

    monkeypatch.setattr("launcher.client.api.Client.status", fail)
    must_be_harmless(launch("status").err)
    monkeypatch.setattr("launcher.client.api.Client.status", lambda _: 1 / 0)
    monkeypatch.setenv("LAUNCHER_DEBUG", "1")
    must_be_harmless(launch("status").err)
