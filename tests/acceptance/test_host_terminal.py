"""Host jobs in the background with a terminal: attached, left, watched, killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.acceptance.shell import Shell
from tests.conftest import MakeDaemon
from tests.support.daemon import CONFIG
from tests.support.keepers import keeper_of
from tests.support.wait import wait_until


def started(launch: Shell, *command: str) -> str:
    job = (
        launch("host", "-dit", "--stop-timeout", "1", "--profile", "1g.6gb", *command)
        .ok()
        .text.strip()
    )
    wait_until(lambda: launch("show", job, "-o", "json").json["state"] == "RUNNING", 30, "it runs")
    return job


def test_one_attaches_to_a_host_job_leaves_it_and_comes_back(launch: Shell) -> None:
    job = started(launch, "bash", "--norc")
    terminal = launch.open_terminal("attach", job)
    terminal.type("X=kept; tty; echo $CUDA_VISIBLE_DEVICES-\r")
    terminal.shows("/dev/pts/")
    terminal.finds(r"\nMIG-[0-9a-f-]{36}-")

    def sized() -> bool:
        terminal.type("stty size\r")
        return "\n30 100" in terminal.shown

    wait_until(sized, 30, "it has this terminal's size")
    watcher = launch.open_terminal("attach", job)
    watcher.shows("another client writes")
    terminal.type("\x10\x11")
    assert terminal.end()[0] == 0
    again = launch.open_terminal("attach", "--take", job)
    again.type("echo $X-again\r")
    again.shows("kept-again")
    watcher.shows("kept-again")
    again.type("exit 7\r")
    assert again.end()[0] == 7
    assert watcher.end()[0] == 7
    assert "kept-again" in launch("logs", job).text


def test_control_c_and_a_cancel_reach_the_command(launch: Shell) -> None:
    job = started(launch, "sh", "-c", "trap 'exit 9' INT; while sleep 0.1; do echo tick; done")
    terminal = launch.open_terminal("attach", job)
    terminal.shows("tick")
    terminal.type("\x03")
    assert terminal.end()[0] == 9
    job = started(launch, "sleep", "1000")
    launch("cancel", job).ok()
    assert launch("wait", job).code == 130


def test_much_input_that_nobody_reads_yet_waits(launch: Shell, tmp_path: Path) -> None:
    go = tmp_path / "go"
    script = f"stty raw -echo; until [ -e {go} ]; do echo tick; sleep 0.1; done; sleep 1; wc -c"
    job = started(launch, "sh", "-c", script.replace("wc", "head -c 300000 | wc"))
    terminal = launch.open_terminal("attach", job)
    terminal.shows("tick")
    go.touch()
    for _ in range(300):
        terminal.type("x" * 1000)
    terminal.shows("300000")
    assert terminal.end()[0] == 0


def test_its_terminal_survives_its_client_and_ends_with_it(launch: Shell) -> None:
    job = started(launch, "bash", "--norc")
    terminal = launch.open_terminal("attach", job)
    terminal.type("echo pid-$PPID-\r")
    found = terminal.finds(r"\npid-(\d+)-")
    terminal.process.kill()
    again = launch.open_terminal("attach", job)
    again.type("\recho still-$((40+2))\r")
    again.shows("still-42")
    os.kill(int(found[1]), signal.SIGKILL)
    again.end()
    assert launch("wait", job).code != 0


def test_a_program_that_is_missing_is_said(launch: Shell) -> None:
    job = launch("host", "-dit", "--gpus", "none", "no-such-program").ok().text.strip()
    assert launch("wait", job).code == 127
    assert "no-such-program: No such file" in launch("logs", job).text


def test_a_job_that_nobody_uses_ends_as_one_in_a_container_does(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(config=f'{CONFIG}interactive.idle = "2s"\n').start()
    launch = Shell(daemon.environment, daemon.place)
    try:
        job = started(launch, "bash", "--norc")
        terminal = launch.open_terminal("attach", job)
        terminal.type("echo here-$((40+2))\r")
        terminal.shows("here-42")
        shown = launch("show", job, "-o", "json").json
        assert (shown["terminal"]["writes"], shown["terminal"]["limit"]) == (True, 2)
        terminal.process.kill()
        assert launch("wait", job).code == 130
        assert "nobody used its terminal" in launch("show", job).text
        never_used = started(launch, "bash", "--norc")
        assert launch("wait", never_used).code == 130
    finally:
        launch.close()


def test_a_terminal_survives_its_keeper_and_a_restart_of_the_daemon(
    make_daemon: MakeDaemon,
) -> None:
    daemon = make_daemon().start()
    launch = Shell(daemon.environment, daemon.place)
    try:
        job = started(launch, "bash", "--norc")
        terminal = launch.open_terminal("attach", job)
        terminal.type("X=kept\r")
        os.kill(keeper_of(daemon), signal.SIGKILL)

        def goes_on() -> bool:
            terminal.type("echo $X-once\r")
            return "kept-once" in terminal.shown

        wait_until(goes_on, 30, "the client has attached again")
        daemon.kill()
        daemon.start()
        more = launch.open_terminal("attach", "--take", job)
        more.type("echo $X-twice\r")
        more.shows("kept-twice")
        more.type("exit 3\r")
        assert more.end()[0] == 3
        sockets = daemon.state / "terminals"
        wait_until(lambda: not list(sockets.iterdir()), 30, "its socket is removed")
    finally:
        launch.close()
