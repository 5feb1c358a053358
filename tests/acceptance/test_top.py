"""`launch top` and `--watch` as users meet them: on a screen, over a real daemon."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from launcher.cli.output.render import columns
from tests.acceptance.shell import Shell
from tests.acceptance.tmux import TmuxScreen
from tests.conftest import MakeDaemon
from tests.support.daemon import BUSYBOX, DaemonProcess
from tests.support.wait import wait_until

SPEC = "A30:1g.6gb*2/2g.12gb,T4"
MakeScreen = Callable[..., TmuxScreen]


@pytest.fixture
def screen(shared: DaemonProcess) -> Iterator[MakeScreen]:
    made: list[TmuxScreen] = []

    def make(*words: str, daemon: DaemonProcess = shared, **options: int) -> TmuxScreen:
        environment = {**daemon.environment, **options.pop("env", {})}
        made.append(TmuxScreen(environment, *words, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def queued(launch: Shell, *words: str) -> str:
    return launch("run", "-d", *words).ok().text.strip()


def on_slice(launch: Shell, daemon: DaemonProcess, script: str = "sleep 60", *words: str) -> str:
    """A job that runs on a slice of an eighth of the machine."""
    job = queued(launch, "--profile", "1g.6gb", *words, BUSYBOX, "--", "sh", "-c", script)
    wait_until(lambda: daemon.client.show(job).job.state == "RUNNING", 20, f"job {job} runs")
    return job


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50)])
def test_slices_and_queue_are_on_one_screen(
    launch: Shell, shared: DaemonProcess, screen: MakeScreen, width: int, height: int
) -> None:
    job = on_slice(launch, shared, "sleep 60", "--name", "train", "--time", "2h")
    waits = queued(launch, "--hold", "--profile", "2g.12gb", BUSYBOX, "--", "true")
    top = screen("top", columns=width, rows=height)
    text = top.shows("JobHeldUser")
    lines = text.splitlines()
    assert all(columns(line) <= width for line in lines), text
    assert lines[0].startswith("launch top")
    assert "NVIDIA A30" in lines[1]
    bar = lines[2].split("│")
    assert [part.strip() for part in bar[1:4]] == ["2g.12gb", "1g.6gb", "1g.6gb"]
    assert abs(len(bar[1]) - 2 * len(bar[3])) <= 2, "to scale"
    assert "Tesla T4" in text
    assert any(line.startswith(job) and "1h59m" in line for line in lines)
    assert any(line.startswith(waits) for line in lines)
    assert lines[-1].startswith("q quit")
    top.type("q")
    assert top.ended() == 0
    restored = top.text()
    assert restored.startswith("before\n"), restored


def test_memory_and_processes_of_a_slice_are_shown_to_its_owner(
    launch: Shell, shared: DaemonProcess, screen: MakeScreen
) -> None:
    job = on_slice(launch, shared)
    (uuid,) = shared.client.show(job).job.slices
    pid = os.getpid()
    shared.machine.add_process(uuid, pid, memory_mib=1500)
    try:
        top = screen("top", columns=200, rows=50)
        top.shows("1500/5952MiB")
        top.shows(f"{pid} root 1500MiB")
        top.shows("█")
    finally:
        shared.machine.remove_process(pid)
    top.shows(f"{pid} root", gone=True)


def test_a_job_is_chosen_its_log_followed_and_the_job_cancelled(
    launch: Shell, shared: DaemonProcess, screen: MakeScreen
) -> None:
    line = "printf '\\033[31m[red]line %s[/]\\033[0m\\n' $i"
    script = f"i=0; while true; do i=$((i+1)); {line}; sleep 1; done"
    job = on_slice(launch, shared, script)
    top = screen("top")
    top.shows("RUNNING")
    top.type("j", "l")
    top.shows("[red]line 1[/]")
    top.shows("[red]line 3[/]")
    top.type("Escape")
    top.shows("q quit")
    top.type("c")
    top.shows(f"Cancel job {job}")
    top.type("y")
    top.shows("no job waits or runs")
    assert shared.client.show(job).job.outcome == "CANCELLED"


def test_a_waiting_job_is_held_and_released(launch: Shell, screen: MakeScreen) -> None:
    queued(launch, "--begin", "+1h", BUSYBOX, "--", "true")
    top = screen("top")
    top.shows("BeginTime")
    top.type("j", "h")
    top.shows("JobHeldUser")
    top.type("h")
    top.shows("BeginTime")


def test_ctrl_c_leaves_a_whole_screen(screen: MakeScreen, launch: Shell) -> None:
    top = screen("top")
    top.shows("q quit")
    top.type("C-c")
    assert top.ended() == 130
    assert top.text().startswith("before\n")


def test_the_view_follows_the_size_of_the_terminal(screen: MakeScreen, launch: Shell) -> None:
    top = screen("top")
    top.shows("q quit")
    top.resize(120, 30)
    wait_until(
        lambda: (
            top.text().rstrip("\n").splitlines()[-1].startswith("q quit")
            and max(map(columns, top.text().splitlines())) == 120
        ),
        what="it is as large as the terminal",
    )


def test_without_colour_and_in_ascii_the_frame_says_the_same(
    screen: MakeScreen, launch: Shell
) -> None:
    top = screen("top", env={"NO_COLOR": "1"})
    top.shows("1g.6gb")
    assert "\x1b[32m" not in top._tmux("capture-pane", "-p", "-e")


def test_a_restart_of_the_daemon_is_survived(make_daemon: MakeDaemon, screen: MakeScreen) -> None:
    daemon = make_daemon("A30:1g.6gb*4").start()
    top = screen("top", daemon=daemon)
    top.shows("no job waits or runs")
    daemon.stop()
    top.shows("the daemon does not answer")
    daemon.start()
    top.shows("the daemon does not answer", gone=True)
    daemon.submit("sleep", "60", name="after")
    top.shows("after")


def test_a_host_job_is_on_its_slice(
    launch: Shell, shared: DaemonProcess, screen: MakeScreen
) -> None:
    running = launch.start("host", "--profile", "1g.6gb", "--", "sleep", "60")
    top = screen("top", columns=120)
    top.shows("RUNTIME")
    lines = lambda: top.text().splitlines()  # noqa: E731
    runs = lambda: any(" host " in line and "RUNNING" in line for line in lines())  # noqa: E731
    wait_until(runs, 30, "it runs")
    running.process.terminate()
    top.shows("no job waits or runs")


def test_one_frame_in_a_pipe(launch: Shell, shared: DaemonProcess) -> None:
    job = on_slice(launch, shared, "sleep 60", "--time", "2h")
    text = launch("top", "--once").ok().text
    assert "\x1b" not in text
    assert all(columns(line) <= 80 for line in text.splitlines())
    assert any(line.startswith(job) and "1h59m" in line for line in text.splitlines())
    wide = launch("top", "--once", env={"COLUMNS": "200"}).ok().text
    assert max(map(columns, wide.splitlines())) == 200


def test_without_a_terminal_it_names_the_option(launch: Shell) -> None:
    ended = launch("top")
    assert ended.code == 2
    assert "--once" in ended.err


def test_a_watched_table_is_drawn_in_place_and_ctrl_c_restores_the_screen(
    launch: Shell, shared: DaemonProcess, screen: MakeScreen
) -> None:
    watched = screen("ps", "--watch")
    watched.shows("REASON")
    job = on_slice(launch, shared)
    text = watched.shows("RUNNING")
    assert text.count("REASON") == 1
    launch("cancel", job).ok()
    watched.shows("RUNNING", gone=True)
    watched.type("C-c")
    assert watched.ended() == 130
    assert watched.text().startswith("before\n")


def test_a_watched_table_is_cut_at_the_height_of_the_terminal(
    launch: Shell, screen: MakeScreen
) -> None:
    queued(launch, "--begin", "+1h", "--name", "a", BUSYBOX, "--", "true")
    for _ in range(12):
        queued(launch, "--begin", "+1h", BUSYBOX, "--", "true")
    watched = screen("ps", "-w", rows=10)
    watched.shows("and 5 more lines")
    watched.resize(80, 20)
    watched.shows("more lines", gone=True)


def test_into_a_pipe_a_table_is_printed_again_when_it_changed(
    launch: Shell, shared: DaemonProcess
) -> None:
    watched = launch.start("slices", "-w")
    watched.prints(b"UUID")
    job = on_slice(launch, shared)
    watched.prints(b"leased")
    launch("cancel", job).ok()
    watched.process.send_signal(2)
    ended = watched.end()
    assert ended.code == 130
    assert b"\n\nGPU" in ended.out
