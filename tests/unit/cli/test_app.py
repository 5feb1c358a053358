"""The frame: help, errors, exit codes, and what may reach a terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

import launcher
from launcher.cli.app import GROUPS
from launcher.cli.app import launch as frame
from launcher.cli.output import render, terminal
from launcher.jobfile.values.units import parse_duration
from launcher.text.moments import duration, span
from tests.unit.cli.launch_command import Launch
from tests.unit.client.stub_daemon import Json, Stream, StubDaemon, event, head, job_view, out

VERBS = {verb: summary for verbs in GROUPS.values() for verb, summary in verbs.items()}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_and_the_group_s_summary(verb: str, launch: Launch) -> None:
    result = launch(verb, "--help")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(f"Usage: launch {verb}")
    command = frame.get_command(click.Context(frame), verb)
    assert command is not None
    assert command.name == verb
    assert command.short_help == VERBS[verb]


def test_help_lists_the_verbs_in_groups(launch: Launch) -> None:
    result = launch("--help")
    assert result.code == 0
    for heading in GROUPS:
        assert f"{heading}:" in result.out


def test_the_version_is_printed(launch: Launch) -> None:
    assert launch("--version").out == f"launch {launcher.__version__}\n"


@pytest.mark.parametrize("args", [["nope"], ["ps", "--nope"], ["show"], ["ps", "-o", "xml"]])
def test_wrong_usage_is_2_on_stderr(launch: Launch, args: list[str]) -> None:
    result = launch(*args)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("launch: ")
    assert "--help` shows how it is used" in result.err


def test_an_unexpected_exception_is_one_line(
    stub: StubDaemon, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub.on("GET", "/v1/slices", Json([]))
    monkeypatch.setattr(render, "print_table", lambda *_: 1 / 0)
    monkeypatch.delenv("LAUNCHER_DEBUG", raising=False)
    result = launch("slices")
    assert result.code == 1
    assert result.err.startswith("launch: internal error: ZeroDivisionError: division by zero")
    assert "Traceback" not in result.err
    monkeypatch.setenv("LAUNCHER_DEBUG", "1")
    assert "Traceback" in launch("slices").err


def test_nothing_steers_the_terminal(stub: StubDaemon, launch: Launch) -> None:
    evil = "a\x1b[31m\u202eb\r\n\x9bc"
    job = job_view(name=evil, reason=evil, message=evil)
    stub.on("GET", "/v1/jobs", Json([job]))
    stub.on("GET", "/v1/queue/head", head(job))
    for result in (launch("ps"), launch("ps", "-o", "json"), launch("ps", "-o", "name")):
        assert result.code == 0
        assert not set(result.out) & set("\x1b\u202e\r\x9b")
    assert json.loads(launch("ps", "-o", "json").out)[0]["name"] == evil
    assert "\\x1b[31m\\u202eb" in launch("ps").out


def test_an_error_message_cannot_steer_it_either(stub: StubDaemon, launch: Launch) -> None:
    stub.on("GET", "/v1/slices", Json({"kind": "error", "message": "a\x1b]0;x\x07\nb"}, 500))
    assert launch("slices").err == "launch: a\\x1b]0;x\\x07\nb\n"


def test_a_closed_pipe_ends_quietly(stub: StubDaemon, launch: Launch) -> None:
    stub.on("GET", "/v1/queue/head", head(*[job_view()] * 5000))
    reading, writing = os.pipe()
    os.close(reading)
    result = launch("ps", stdout=writing)
    os.close(writing)
    assert (result.code, result.err) == (141, "")


def test_a_closed_pipe_leaves_the_job_running(stub: StubDaemon, launch: Launch) -> None:
    stub.on("POST", "/v1/jobs", Json([job_view()], 201))
    stub.on("GET", "/v1/jobs/12/follow", Stream([event(job_view()), out("x")] * 100))
    reading, writing = os.pipe()
    os.close(reading)
    result = launch("run", "busybox", stdout=writing)
    os.close(writing)
    assert result.code == 141
    assert "job 12 goes on (`launch cancel 12` ends it)" in result.err


def test_a_daemon_of_another_version_is_said_in_one_line(stub: StubDaemon, launch: Launch) -> None:
    stub.version = "9.9.9"
    stub.on("GET", "/v1/slices", Json([]))
    result = launch("slices", "-o", "json")
    assert result.out == "[]\n"
    assert result.err == (
        f"launch: this is version {launcher.__version__}, the daemon is version 9.9.9\n"
    )


def test_tables_are_aligned_and_cut_only_to_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    render.print_table(("A", "B"), [("日本", "x" * 200), ("é", None)])
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["A     B", "日本  " + "x" * 200, "é     -"]
    monkeypatch.setattr(terminal, "width", lambda: 10)
    render.print_table(("A", "B"), [("日本", "x" * 200)])
    assert capsys.readouterr().out.splitlines()[1] == "日本  xxx…"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (-3, "0s"), (61, "1m1s"), (3600, "1h"), (90000, "1d1h"), (86461, "1d")],
)
def test_a_span_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert span(seconds) == text


@given(st.integers(0, 10**7) | st.floats(0.01, 1000).map(lambda value: round(value, 2)))
def test_a_duration_is_what_a_job_file_would_say(seconds: float) -> None:
    assert parse_duration(duration(seconds)) == pytest.approx(seconds)


LOADED = """
import sys
before = set(sys.modules)
sys.argv[1:] = {args!r}
from launcher.cli.app import invoke
invoke(sys.argv[1:])
names = {{name.partition(".")[0] for name in set(sys.modules) - before}}
print(sorted(names & {names!r}), file=sys.stderr)
"""


@pytest.mark.parametrize("args", [["--help"], ["ps"], ["run", "-d", "x"], ["wait", "7"]])
def test_heavy_libraries_are_not_loaded(args: list[str], stub: StubDaemon, tmp_path: Path) -> None:
    heavy = {"rich", "yaml", "aiohttp", "docker", "pydantic", "requests", "asyncio", "http",
             "email", "ssl", "subprocess", "sqlite3", "pynvml", "urllib", "pathlib"}  # fmt: skip
    stub.on("GET", "/v1/jobs", Json([job_view()]))
    stub.on("POST", "/v1/jobs", Json([job_view()]))
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(args=args, names=heavy)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.splitlines()[-1] == "[]"


def test_the_module_runs_as_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "launcher", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"launch {launcher.__version__}\n"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["sumbit"], "Did you mean submit"), (["layout", "aply"], "Did you mean apply"),
        (["slice"], "Did you mean slices"), (["zzz"], "There is no verb 'zzz'.\n"),
        (["kill", "12"], "There is no verb 'kill': use `launch cancel`.\n"),
        (["squeue"], "use `launch ps`"),
    ],
)  # fmt: skip
def test_a_mistyped_verb_gets_the_nearest_one(launch: Launch, words: list[str], hint: str) -> None:
    result = launch(*words)
    assert (result.code, hint in result.err) == (2, True), result.err


@pytest.mark.parametrize(
    "words", [["run", "-v", "./x:/x", "busybox"], ["submit", "job.yaml"], ["host", "-d", "true"]]
)
def test_a_current_directory_that_was_deleted_is_said(tmp_path: Path, words: list[str]) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    program = Path(sys.executable).with_name("launch")
    script = f"cd {gone} && rmdir {gone} && exec {program} {' '.join(words)}"
    done = subprocess.run(
        ["sh", "-c", script], env=os.environ | {"LAUNCHER_SOCKET": str(tmp_path / "none.sock")},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "internal error" not in done.stderr, done.stderr
    assert done.returncode in (1, 2, 125)
