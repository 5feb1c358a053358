"""``launch run``: Ctrl-C, SIGTERM and SIGKILL of the command, and what becomes of its job."""

from __future__ import annotations

import re
import signal

from tests.acceptance.conftest import MakeShell
from tests.acceptance.shell import Running, Shell, no_traceback
from tests.conftest import MakeDaemon
from tests.support.daemon import BUSYBOX, DaemonProcess
from tests.support.wait import wait_until

TOLD = "trap 'told=1' USR1; until [ -n \"$told\" ]; do sleep 0.05; done"
"""Goes on once it is sent SIGUSR1."""
LISTENS = "trap 'echo interrupted; exit 5' INT; echo ready; while true; do sleep 0.05; done"
ENDURES = "trap 'echo interrupted' INT; echo ready; while true; do sleep 0.05; done"


def start(launch: Shell, script: str) -> Running:
    """A job that listens, on a slice, in the foreground."""
    words = ("--profile", "1g.6gb", "--stop-timeout", "0", BUSYBOX, "sh", "-c", script)
    running = launch.start("run", *words)
    running.prints(b"ready\n")
    return running


def test_one_interrupt_reaches_the_program_and_the_command_returns_its_code(
    launch: Shell,
) -> None:
    running = start(launch, LISTENS)
    running.process.send_signal(signal.SIGINT)
    ended = running.end()
    assert (ended.code, ended.out) == (5, b"ready\ninterrupted\n")
    assert re.search(r"sent SIGINT to job \d+; press Ctrl-C again to cancel it", ended.err)
    assert launch("wait", "last").code == 5


def test_ctrl_c_on_a_terminal_does_the_same(launch: Shell) -> None:
    terminal = launch.open_terminal("run", BUSYBOX, "sh", "-c", LISTENS)
    terminal.shows("ready")
    terminal.type("\x03")
    code, text = terminal.end()
    no_traceback(text)
    assert code == 5
    assert "interrupted" in text
    assert "sent SIGINT to job" in text


def test_after_one_interrupt_it_goes_on_with_a_program_that_goes_on(
    launch: Shell, shared: DaemonProcess
) -> None:
    script = (
        "trap 'got=1' INT; echo ready; until [ -n \"$got\" ]; do sleep 0.05; done;"
        f" echo caught; {TOLD}; echo done; exit 3"
    )
    running = start(launch, script)
    running.process.send_signal(signal.SIGINT)
    running.prints(b"caught\n")
    assert shared.client.show("last").job.state == "RUNNING"
    assert running.process.poll() is None
    shared.client.signal("last", "SIGUSR1")
    ended = running.end()
    assert (ended.code, ended.out) == (3, b"ready\ncaught\ndone\n")


def test_a_second_interrupt_soon_after_cancels(launch: Shell) -> None:
    running = start(launch, ENDURES)
    running.process.send_signal(signal.SIGINT)
    running.says("press Ctrl-C again")
    running.process.send_signal(signal.SIGINT)
    running.says("is being cancelled")
    ended = running.end()
    assert ended.code == 130
    assert "CANCELLED" in ended.err
    assert launch("wait", "last").code == 130


def test_a_third_interrupt_leaves_at_once(launch: Shell, shared: DaemonProcess) -> None:
    """The program takes its whole grace period; nobody need sit through that."""
    script = "trap : INT TERM; echo ready; while true; do sleep 0.05; done"
    running = launch.start("run", "--stop-timeout", "2", BUSYBOX, "sh", "-c", script)
    running.prints(b"ready\n")
    for said in ("press Ctrl-C again", "is being cancelled", "left; job"):
        running.process.send_signal(signal.SIGINT)
        running.says(said)
    assert running.end().code == 130
    assert shared.client.show("last").job.state == "RUNNING"
    assert launch("wait", "last").code == 130


def test_two_interrupts_cancel_a_job_that_waits(launch: Shell) -> None:
    holder = launch("run", "-d", "--gpus", "1g.6gb:4", BUSYBOX, "sleep", "60").ok().text.strip()
    running = launch.start("run", "--profile", "1g.6gb", BUSYBOX, "echo", "never")
    running.says("waits: Resources")
    running.process.send_signal(signal.SIGINT)
    running.says("has not started; press Ctrl-C again to cancel it")
    running.process.send_signal(signal.SIGINT)
    ended = running.end()
    assert (ended.code, ended.out) == (130, b"")
    launch("cancel", holder).ok()


def test_sigterm_cancels(launch: Shell) -> None:
    running = start(launch, "trap 'exit 0' TERM; echo ready; while true; do sleep 0.05; done")
    running.process.send_signal(signal.SIGTERM)
    ended = running.end()
    assert ended.code == 130
    assert "CANCELLED" in ended.err
    assert launch("wait", "last").code == 130


def test_sigterm_cancels_a_job_that_waits(launch: Shell, shared: DaemonProcess) -> None:
    holder = launch("run", "-d", "--gpus", "1g.6gb:4", BUSYBOX, "sleep", "60").ok().text.strip()
    running = launch.start("run", "--profile", "1g.6gb", BUSYBOX, "echo", "never")
    running.says("waits: Resources")
    running.process.send_signal(signal.SIGTERM)
    assert (running.end().code, running.out) == (130, b"")
    assert shared.client.show("last").attempts == []
    launch("cancel", holder).ok()


def test_a_killed_command_leaves_the_job_running_to_its_end(
    launch: Shell, shared: DaemonProcess
) -> None:
    running = start(launch, f"echo ready; {TOLD}; echo to the end; exit 7")
    running.process.kill()
    running.process.wait()
    job = shared.client.show("last").job
    assert job.state == "RUNNING"
    shared.client.signal(str(job.id), "SIGUSR1")
    assert launch("wait", str(job.id)).code == 7
    assert launch("logs", "-f", str(job.id)).ok().out == b"ready\nto the end\n"
    wait_until(
        lambda: all(s.state == "free" for s in shared.client.slices()), what="its slice is free"
    )


def test_while_the_daemon_is_away_a_second_interrupt_leaves_and_the_job_goes_on(
    make_daemon: MakeDaemon, shell_for: MakeShell
) -> None:
    daemon = make_daemon().start()
    launch = shell_for(daemon)
    running = start(launch, ENDURES)
    daemon.stop()
    running.process.send_signal(signal.SIGINT)
    running.says("press Ctrl-C again to leave")
    running.process.send_signal(signal.SIGINT)
    ended = running.end()
    assert ended.code == 130
    assert re.search(r"left; job \d+ goes on", ended.err)
    daemon.start()
    assert launch("ps", "-o", "json").ok().json[0]["state"] == "RUNNING"
    launch("cancel", "last").ok()
