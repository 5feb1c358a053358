"""``launch run``: what comes out, byte by byte, and what is said meanwhile."""

from __future__ import annotations

import hashlib
import re
import subprocess

import pytest

from tests.acceptance.shell import LAUNCH, Shell
from tests.support.daemon import BUSYBOX, DaemonProcess

MIB = 2**20
ASCII = bytes(range(128)) * 8
LATIN = bytes(range(256))


def octal(data: bytes) -> str:
    """The data as printf's format."""
    return "".join(f"\\{byte:03o}" for byte in data)


def lines(err: str) -> list[str]:
    """What the command itself said."""
    return [line for line in err.splitlines() if line.startswith(("job ", "launch:", "note:"))]


def test_stdout_and_stderr_come_apart(launch: Shell) -> None:
    done = launch("run", "-q", BUSYBOX, "sh", "-c", "echo out; echo err >&2; echo out2").ok()
    assert (done.out, done.err) == (b"out\nout2\n", "err\n")


def test_control_bytes_and_text_are_exact_without_a_newline_at_the_end(launch: Shell) -> None:
    data = ASCII + "größer – 大きい 🚀".encode() * 200
    assert launch("run", BUSYBOX, "printf", octal(data)).ok().out == data


def test_bytes_that_are_not_text_come_out_as_they_were_written(launch: Shell) -> None:
    assert launch("run", BUSYBOX, "printf", octal(LATIN)).ok().out == LATIN
    assert launch("logs", "last").ok().out == LATIN


def test_a_mebibyte_each_on_both_streams_is_exact(launch: Shell) -> None:
    script = (
        "head -c 700000 /dev/urandom | base64 > /tmp/data; md5sum < /tmp/data | cut -c 1-32;"
        " cat /tmp/data; tr A-Z a-z < /tmp/data >&2"
    )
    done = launch("run", "-q", BUSYBOX, "sh", "-c", script).ok()
    told, _, data = done.out.partition(b"\n")
    assert hashlib.md5(data, usedforsecurity=False).hexdigest() == told.decode()
    assert len(data) > 0.9 * MIB
    assert done.err == data.decode().lower()


def test_lines_far_longer_than_a_docker_log_entry_come_out_whole(launch: Shell) -> None:
    script = "head -c 200000 /dev/zero | tr '\\0' x; echo; head -c 70000 /dev/zero | tr '\\0' y"
    done = launch("run", BUSYBOX, "sh", "-c", script).ok()
    assert done.out == b"x" * 200000 + b"\n" + b"y" * 70000


def test_a_loud_program_that_ends_at_once_loses_nothing(launch: Shell) -> None:
    """Docker 20.10 ends a followed log with the container, wherever the reader stood."""
    done = launch("run", BUSYBOX, "seq", "100000").ok()
    assert done.out == b"".join(b"%d\n" % n for n in range(1, 100001))
    done = launch("logs", "--tail", "2", "last").ok()
    assert done.text == "99999\n100000\n"


def test_a_container_of_ten_milliseconds_loses_nothing(launch: Shell) -> None:
    for _ in range(3):
        done = launch("run", "-q", BUSYBOX, "sh", "-c", "echo first; echo e >&2; printf last").ok()
        assert (done.out, done.err) == (b"first\nlast", "e\n")


def test_output_comes_while_the_job_runs(launch: Shell) -> None:
    script = "echo early; until [ -e /tmp/go ]; do sleep 0.05; done"
    running = launch.start("run", BUSYBOX, "sh", "-c", script)
    running.prints(b"early\n")
    assert running.process.poll() is None
    launch("cancel", "last").ok()
    assert running.end().out == b"early\n"


def test_it_waits_and_says_why_while_every_slice_is_taken_and_then_runs(launch: Shell) -> None:
    script = "echo held; sleep 60"
    holder = launch.start("run", "--gpus", "1g.6gb:4", "--name", "holder", BUSYBOX, "sh", "-c",
                          script)  # fmt: skip
    holder.prints(b"held\n")
    waiting = launch.start("run", "--profile", "1g.6gb", BUSYBOX, "echo", "mine")
    waiting.says("Resources")
    assert re.search(
        r"^job \d+ waits: Resources: needs 1 x 1g\.6gb, 4 of 4 in use", waiting.err, re.MULTILINE
    )
    assert waiting.out == b""
    launch("cancel", "holder").ok()
    done = waiting.end().ok()
    assert done.out == b"mine\n"
    assert re.search(r"^job \d+ runs on 1g\.6gb \(MIG-", done.err, re.MULTILINE)
    assert holder.end().code == 130


def test_it_waits_because_of_the_one_slice_that_it_named(
    launch: Shell, shared: DaemonProcess
) -> None:
    uuid = shared.client.slices()[3].uuid
    holder = launch.start("run", "--gpus", uuid, BUSYBOX, "sh", "-c", "echo held; sleep 60")
    holder.prints(b"held\n")
    waiting = launch.start("run", "--gpus", uuid, BUSYBOX, "sh", "-c", "echo $LAUNCHER_SLICES")
    waiting.says(f"waits: Resources: needs {uuid}")
    launch("cancel", str(shared.client.show("last").job.id - 1)).ok()
    assert waiting.end().ok().text.split() == [uuid]


def test_a_higher_priority_goes_first(launch: Shell, shared: DaemonProcess) -> None:
    first = launch.start("run", "--gpus", "1g.6gb:4", BUSYBOX, "sh", "-c", "echo held; sleep 60")
    first.prints(b"held\n")
    gang = ("run", "-d", "--gpus", "1g.6gb:4", "--pull", "never")
    low = launch(*gang, "--priority", "10", BUSYBOX, "true").ok().text.strip()
    high = launch(*gang, "--priority", "60", BUSYBOX, "true").ok().text.strip()
    launch("cancel", str(int(low) - 1)).ok()
    launch("wait", low, high).ok()
    started = {job: shared.client.show(job).job.started_at or "" for job in (low, high)}
    assert "" < started[high] < started[low]


def test_detached_it_prints_the_id_and_nothing_else(launch: Shell) -> None:
    done = launch("run", "-d", "--name", "away", "--profile", "1g.6gb", BUSYBOX, "echo", "x").ok()
    assert re.fullmatch(rb"[1-9]\d*\n", done.out)
    assert done.err == ""
    assert launch("logs", "-f", done.text.strip()).ok().out == b"x\n"


def test_several_slices_are_given_at_once_with_one_note_on_it(launch: Shell) -> None:
    done = launch("run", "--profile", "1g.6gb", "--count", "2", BUSYBOX, "sh", "-c",
                  "echo $LAUNCHER_SLICES").ok()  # fmt: skip
    assert len(set(done.text.strip().split(","))) == 2
    assert [line for line in lines(done.err) if line.startswith("note:")] == [
        "note: one process sees one MIG device; use one process per slice"
    ]


def test_quiet_says_nothing_of_its_own_unless_it_never_ran(launch: Shell) -> None:
    assert launch("run", "-q", BUSYBOX, "false").err == ""
    never = launch("run", "-q", "--pull", "never", "nobody/nothing:1", "true")
    assert "ImagePullFailed" in never.err


@pytest.mark.parametrize("image_at", [0, 3, 5])
def test_options_stand_before_or_behind_the_image(launch: Shell, image_at: int) -> None:
    words = ["--profile", "1g.6gb", "-q", "-e", "WHO=me"]
    words.insert(image_at if image_at != 3 else 2, BUSYBOX)
    done = launch("run", *words, "sh", "-c", 'echo "$WHO $0 $1"', "-e", "--profile").ok()
    assert done.text == "me -e --profile\n"


def test_two_dashes_begin_the_command(launch: Shell) -> None:
    assert launch("run", BUSYBOX, "-q", "--", "echo", "-q", "--", "-d").ok().text == "-q -- -d\n"
    assert launch("run", "-q", "--", BUSYBOX, "echo", "x").ok().text == "x\n"


@pytest.mark.parametrize("options", [[], ["-i"]])
def test_a_closed_stdout_ends_the_command_and_not_the_job(
    launch: Shell, options: list[str]
) -> None:
    script = "i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done; sleep 0.5; echo end; exit 6"
    command = [LAUNCH, "run", *options, BUSYBOX, "sh", "-c", script]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=launch.environment,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"0\n"
        process.stdout.close()
        said = process.stderr.read().decode()
        assert process.wait(30) == 141
    assert "stdout was closed" in said
    assert launch("wait", "last").code == 6


def test_a_job_without_output_says_whether_it_ran(launch: Shell) -> None:
    job = launch("run", "-d", "--hold", "--gpus", "none", BUSYBOX, "true").ok().text.strip()
    done = launch("logs", job).ok()
    assert (done.text, f"job {job} has not started yet" in done.err) == ("", True)
    launch("cancel", job).ok()
    assert f"job {job} never ran: `launch show {job}`" in launch("logs", job).ok().err
    quiet = launch("run", "-d", "--gpus", "none", BUSYBOX, "true").ok().text.strip()
    launch("wait", quiet).ok()
    assert launch("logs", quiet).ok().err == ""


def test_stopping_a_job_names_the_verb_for_it(launch: Shell) -> None:
    done = launch("stop", "12")
    assert done.code == 2
    assert "to end a job: launch cancel 12" in done.err
