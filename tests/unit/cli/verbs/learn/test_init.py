"""``launch init``: what is asked, what is written, and that it survives the reader."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher.errors import JobFileError
from launcher.jobfile.reading.files import load_text
from launcher.jobfile.writing import FirstJob, job_file
from launcher.spec.gpus import GpuRequest
from launcher.spec.job_spec import JobSpec
from tests.acceptance.shell import LAUNCH
from tests.acceptance.terminal import Terminal
from tests.unit.cli.launch_command import Launch
from tests.unit.cli.test_hostile import HostileDaemon, evil, must_be_harmless
from tests.unit.client.stub_daemon import Json, StubDaemon, slice_view

__all__ = ["evil"]
ALL = ("--image", "busybox", "--command", "true", "--gpus", "1g.6gb", "--time", "4h")
HOSTILE = [
    "yes", "1e3", "a: b", "#x", "x #y", "'", '"', "''", "\\", "a\nb", "\t", "日本 é 😀", "{{ }}",
    "${X}", "$${X}", "$X", "- x", "[a]", "{a: b}", "&a", "*a", "!t", "|", ">", "%x", "@x", "`x`",
    "~", "null", "010", "0x1f", "12:30", "2026-01-01", "<<", "=", "?", "", " ", "---", "...",
    "\x1b[31m", "\x07", "\x7f", "\x85", "\u2028", "\u202e", "\ufeff", "\ufffe", "\U000e0001",
]  # fmt: skip

WRONG = (
    "the image is empty", "is not a valid image", "this is not UTF-8 text",
    "No closing quotation", "no program can be given", "'9z'", "has no unit",
)  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAUNCHER_SOCKET", str(tmp_path / "no.sock"))
    return tmp_path


class Keyboard(io.TextIOWrapper):
    """A terminal on which these lines are typed, and then Ctrl-D or Ctrl-C."""

    def isatty(self) -> bool:
        return True


class Interrupted(io.BytesIO):
    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        if not line:
            raise KeyboardInterrupt
        return line


@pytest.fixture
def types(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def prepare(*lines: str, raw: type[io.BytesIO] = io.BytesIO) -> None:
        data = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
        monkeypatch.setattr("sys.stdin", Keyboard(raw(data), encoding="utf-8"))

    return prepare


def read(text: str) -> JobSpec:
    (job,), problems = load_text(text.encode(), "f.yaml", Path("/base"), client={})
    assert not problems
    return job


def test_with_all_options_nothing_is_asked(launch: Launch, here: Path) -> None:
    result = launch("init", *ALL)
    assert (result.code, result.out) == (0, "")
    assert result.err == "wrote job.yaml; next: launch submit job.yaml\n"
    job = read((here / "job.yaml").read_text())
    assert (job.image, job.command, job.time_limit) == ("busybox", ("true",), 14400)
    assert job.gpus == GpuRequest(kind="profile", profile="1g.6gb")


def test_what_is_left_to_the_image_and_the_queue_is_left_out(launch: Launch, here: Path) -> None:
    words = ("--image", "busybox", "--command", "", "--gpus", "none", "--time", "none")
    assert launch("init", *words, "my job.yaml").err.endswith("launch submit 'my job.yaml'\n")
    assert read((here / "my job.yaml").read_text()) == JobSpec("busybox", "busybox")


def test_every_key_in_a_comment_is_valid_without_its_sign() -> None:
    for job in (FirstJob("busybox"), FirstJob("busybox", ["true"], "full", "4h")):
        text = job_file(job, "job.yaml")
        spec = read(re.sub("^#(?! )", "", text, flags=re.MULTILINE))
        assert (spec.name, spec.working_dir, set(spec.depends_on)) == (
            "train", "/work", {"prepare", "12"},
        )  # fmt: skip


def test_standard_output_has_the_file_alone(launch: Launch, here: Path) -> None:
    result = launch("init", *ALL, "-")
    assert read(result.out).image == "busybox"
    assert result.err == "save it as job.yaml; next: launch submit job.yaml\n"
    assert not list(here.glob("*.yaml"))


def test_questions_are_asked_on_stderr_with_the_machines_profiles(
    launch: Launch, stub: StubDaemon, types: Callable[..., None]
) -> None:
    stub.on("GET", "/v1/slices", Json([slice_view(), slice_view(state="leased")]))
    types("busybox", "sh -c 'echo a b'", "1g.6gb:2", "90m")
    result = launch("init", "-")
    assert result.code == 0
    assert "  1g.6gb  1 of 2 free\n" in result.err
    job = read(result.out)
    assert (job.command, job.gpus.count, job.time_limit) == (("sh", "-c", "echo a b"), 2, 5400)


def test_an_answer_given_as_an_option_is_not_asked(
    launch: Launch, types: Callable[..., None]
) -> None:
    types("", "", "")
    result = launch("init", "--image", "busybox", "-")
    assert "Image" not in result.err
    assert read(result.out) == JobSpec("busybox", "busybox")


def test_a_wrong_answer_is_said_and_asked_again(launch: Launch, types: Callable[..., None]) -> None:
    types("", "Busy Box", "busy\udcff", "busybox", "'", "a\0b", "true", "9z", "none", "4", "4h")
    result = launch("init", "-")
    assert result.code == 0
    for told in WRONG:
        assert told in result.err
    assert read(result.out).command == ("true",)


@pytest.mark.parametrize("words", [("--image", "Busy"), ("--gpus", "9z"), ("--time", "4")])
def test_a_wrong_option_is_refused(launch: Launch, words: tuple[str, ...], here: Path) -> None:
    result = launch("init", *ALL, *words)
    assert result.code == 2
    assert not list(here.glob("*.yaml"))


def test_without_a_terminal_what_is_missing_is_named(launch: Launch, here: Path) -> None:
    result = launch("init", "--image", "busybox", "--gpus", "none")
    assert result.code == 2
    assert "answer with --command, --time" in result.err
    assert not list(here.glob("*.yaml"))


def test_a_file_is_overwritten_only_by_force(launch: Launch, here: Path) -> None:
    (here / "job.yaml").write_text("mine")
    result = launch("init", *ALL)
    assert (result.code, "job.yaml exists" in result.err) == (2, True)
    assert (here / "job.yaml").read_text() == "mine"
    assert launch("init", *ALL, "--force").code == 0
    assert read((here / "job.yaml").read_text())


def test_a_file_that_appears_meanwhile_is_not_overwritten(
    launch: Launch, here: Path, types: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os.path, "lexists", lambda path: False)
    (here / "job.yaml").write_text("mine")
    assert launch("init", *ALL).code == 2
    assert (here / "job.yaml").read_text() == "mine"


def test_a_place_that_cannot_be_written_is_said(launch: Launch) -> None:
    result = launch("init", *ALL, "nowhere/job.yaml")
    assert (result.code, "cannot write nowhere/job.yaml: no such file" in result.err) == (2, True)


@pytest.mark.parametrize("raw", [io.BytesIO, Interrupted])
def test_an_end_of_the_answers_leaves_no_file(
    launch: Launch, here: Path, types: Callable[..., None], raw: type[io.BytesIO]
) -> None:
    types("busybox", "true", raw=raw)
    assert launch("init").code == 130
    assert not list(here.glob("*.yaml"))


def test_ctrl_c_on_a_real_terminal_leaves_no_file(here: Path) -> None:
    terminal = Terminal([LAUNCH, "init"], os.environ)
    try:
        terminal.shows("Image")
        terminal.type("busybox\n")
        terminal.shows("Command")
        terminal.type("\x03")
        code, text = terminal.end()
    finally:
        terminal.close()
    assert (code, "Traceback" in text) == (130, False)
    assert not list(here.glob("*.yaml"))


def test_a_daemons_texts_cannot_steer_the_terminal(
    launch: Launch, evil: HostileDaemon, types: Callable[..., None]
) -> None:
    types("busybox", "true", "none", "")
    result = launch("init", "-")
    assert (result.code, bool(evil.asked)) == (0, True)
    must_be_harmless(result.out + result.err)


@pytest.mark.parametrize("word", HOSTILE)
def test_any_word_survives_the_reader(word: str) -> None:
    text = job_file(FirstJob("busybox", ["echo", word]), f"{word}.yaml")
    assert read(text).command == ("echo", word)


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1)
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_command_survives_the_reader(words: list[str]) -> None:
    assert read(job_file(FirstJob("busybox", words), "job.yaml")).command == tuple(words)


def test_a_character_that_no_program_takes_is_the_readers_to_refuse() -> None:
    with pytest.raises(JobFileError):
        load_text(job_file(FirstJob("x", ["\0"]), "x").encode(), "f", Path("/"), client={})
