"""Completion in real shells: verbs, options, and values that the daemon knows."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.shell import LAUNCH, Shell
from tests.acceptance.terminal import Terminal
from tests.support.daemon import BUSYBOX
from tests.support.wait import wait_until

WRAPPER = """#!/bin/sh
[ "$1" = completion ] || [ -n "$_LAUNCH_COMPLETE" ] && exec LAUNCH "$@"
printf 'got:'; printf ' <%s>' "$@"; echo .
"""
"""Says what it was called with, so that a test sees what a line was completed to."""
SETUP = {
    "bash": "PS1='ready> '; source <(launch completion bash)",
    "zsh": "PS1='ready> '; autoload -U compinit; compinit -u -D; source <(launch completion zsh)",
}
COMMAND = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}
"""None reads the files of whoever runs the tests."""


@pytest.fixture
def environment(launch: Shell, tmp_path: Path) -> dict[str, str]:
    """Of a user who has ``launch`` in the path."""
    wrapper = tmp_path / "bin" / "launch"
    wrapper.parent.mkdir()
    wrapper.write_text(WRAPPER.replace("LAUNCH ", f"{LAUNCH} "))
    wrapper.chmod(0o755)
    path = f"{wrapper.parent}:/usr/bin:/bin"
    return launch.environment | {"PATH": path, "HOME": str(tmp_path), "LANG": "C.UTF-8"}


@pytest.fixture(params=["bash", "zsh"])
def shell(request: pytest.FixtureRequest, environment: dict[str, str]) -> Iterator[Terminal]:
    """A shell on a terminal that completes ``launch``."""
    terminal = Terminal(COMMAND[request.param], environment, columns=200, kind="dumb")
    try:
        terminal.type(f"cd; {SETUP[request.param]}; echo set''up\r")
        terminal.shows("setup\r\n")
        wait_until(lambda: "ready> " in terminal.shown.rpartition("setup\r\n")[2], 30, "the prompt")
        yield terminal
    finally:
        terminal.close()


@pytest.fixture
def job(launch: Shell) -> str:
    """A waiting job with a name."""
    return launch("run", "-d", "--hold", "--name", "resnet-50", BUSYBOX, "true").ok().text.strip()


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("why res", "<why> <resnet-50>"),
        ("hold las", "<hold> <last>"),
        ("run --profile 1g", "<run> <--profile> <1g.6gb>"),
        ("run --profile=1g", "<run> <--profile=1g.6gb>"),
        (f"run {BUSYBOX[:-1]}", f"<run> <{BUSYBOX}>"),
        ("install-", "<install-service>"),
        ("layout destr", "<layout> <destroy>"),
        ("ps --user m", "<ps> <--user> <me>"),
        ("events --type job.en", "<events> <--type> <job.ended>"),
        ("run --pull=nev", "<run> <--pull=never>"),
        ("ps -o js", "<ps> <-o> <json>"),
        ("submit trai", "<submit> <train.yaml>"),
    ],
)
@pytest.mark.usefixtures("job")
def test_tab_completes_what_is_typed(
    shell: Terminal, tmp_path: Path, typed: str, completed: str
) -> None:
    (tmp_path / "train.yaml").touch()
    shell.type(f"launch {typed}\t\r")
    shell.shows("got:")
    shell.shows(f"got: {completed}.")


def test_fish_completes_with_descriptions(environment: dict[str, str], job: str) -> None:
    def lines(typed: str) -> list[str]:
        script = f"launch completion fish | source; complete -C 'launch {typed}'"
        return subprocess.run(
            ["fish", "--no-config", "-c", script],
            env=environment, check=True, capture_output=True, text=True, timeout=60,
        ).stdout.splitlines()  # fmt: skip

    assert lines("dr") == ["drain\tTake no new jobs on a slice or GPU."]
    assert lines(f"why {job}") == [f"{job}\tpending resnet-50"]
    assert lines("run --profile ") == ["1g.6gb\t4 of 4 free"]


def test_nothing_completes_and_nothing_is_printed_without_a_daemon(
    environment: dict[str, str], tmp_path: Path
) -> None:
    done = subprocess.run(
        [LAUNCH],
        env=environment
        | {"_LAUNCH_COMPLETE": "bash_complete", "COMP_LINE": "launch why "}
        | {"LAUNCHER_SOCKET": str(tmp_path / "nobody")},
        check=False, capture_output=True, timeout=60,
    )  # fmt: skip
    assert (done.stdout.strip(), done.stderr) == (b"", b"")
