"""Interactive jobs: terminals, standard input, leaving and coming back, further commands."""

from __future__ import annotations

import hashlib
import os

from tests.acceptance.shell import Shell
from tests.support.daemon import BUSYBOX
from tests.support.wait import wait_until

SHELL = ("run", "-it", "--profile", "1g.6gb", BUSYBOX, "sh")


def test_a_shell_on_a_terminal(launch: Shell) -> None:
    terminal = launch.open_terminal(*SHELL)
    terminal.shows("# ")
    terminal.type("tty; echo $((6*7))\r")
    terminal.shows("/dev/pts/0")
    terminal.shows("42")
    terminal.type("exit 3\r")
    code, shown = terminal.end()
    assert code == 3, shown


def test_input_of_100_megabytes_arrives_whole(launch: Shell) -> None:
    data = os.urandom(100_000_000)
    done = launch("run", "-i", "-q", BUSYBOX, "sha256sum", stdin=data)
    assert (done.code, done.text.split()[0]) == (0, hashlib.sha256(data).hexdigest())


def test_a_further_command_in_a_job(launch: Shell) -> None:
    job = launch("run", "-d", BUSYBOX, "sleep", "60").ok().text.strip()
    wait_until(lambda: launch("show", job, "-o", "json").json["state"] == "RUNNING", 30, "it runs")
    done = launch("exec", job, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.code, done.out, done.err) == (7, b"out\n", "err\n")
    assert launch("exec", "-i", job, "--", "cat", stdin=b"abc").out == b"abc"
