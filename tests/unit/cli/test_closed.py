"""Streams that are closed, or full, when the command begins."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.unit.cli.launch_command import Launch
from tests.unit.client.stub_daemon import Json, Stream, StubDaemon, end, ended, head, job_view, out

CLOSED = "launch: cannot write the output: Bad file descriptor\n"


def launched(redirection: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a shell does with such a redirection."""
    script = f'exec "$@" {redirection}'
    return subprocess.run(
        ["sh", "-c", script, "sh", sys.executable, "-m", "launcher", *args],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("args", [["ps"], ["ps", "-o", "json"], ["--help"], ["ps", "--help"]])
def test_a_closed_stdout_is_told_as_a_full_disk_is(stub: StubDaemon, args: list[str]) -> None:
    stub.on("GET", "/v1/queue/head", head(job_view()))
    stub.on("GET", "/v1/jobs", Json([job_view()]))
    done = launched(">&-", *args)
    assert (done.returncode, done.stderr) == (125, CLOSED)


@pytest.mark.parametrize("closed", ["2>&-", "0<&- 2>&-"])
def test_what_would_be_said_on_a_closed_stderr_goes_nowhere(stub: StubDaemon, closed: str) -> None:
    stub.on("GET", "/v1/queue/head", head(job_view(), waiting=7))
    done = launched(closed, "ps")
    assert (done.returncode, len(done.stdout.splitlines()), done.stderr) == (0, 2, "")
    assert launched(closed, "nope").returncode == 2
    assert launched(f"{closed} >&-", "ps").returncode == 125


def test_a_verb_that_prints_nothing_needs_no_stdout(stub: StubDaemon) -> None:
    stub.on("POST", "/v1/jobs/7/cancel", Json([]))
    done = launched(">&-", "cancel", "7")
    assert (done.returncode, done.stderr) == (0, "nothing of 7 waits or runs\n")


def test_the_output_of_a_job_goes_to_no_other_file_that_got_the_number_of_stdout(
    stub: StubDaemon,
) -> None:
    stub.on("POST", "/v1/jobs", Json([job_view()], 201))
    stub.on("GET", "/v1/jobs/12/follow", Stream([out("text\n"), end(ended("COMPLETED", 0))]))
    done = launched(">&-", "run", "-q", "busybox")
    goes_on = "job 12 goes on (`launch cancel 12` ends it)\n"
    assert (done.returncode, done.stderr) == (125, goes_on + CLOSED)
    assert stub.did() == ["POST /v1/jobs", "GET /v1/jobs/12/follow"]


def test_standard_input_that_is_closed_is_an_empty_file(stub: StubDaemon) -> None:
    done = launched("<&-", "submit", "-")
    assert done.returncode == 2
    assert done.stderr.startswith("launch: <stdin>:1:1: the file is empty")


def test_help_on_a_full_disk_is_no_bug(launch: Launch) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    result = launch("--help", stdout=full)
    os.close(full)
    assert result.code == 125
    assert result.err == "launch: cannot write the output: No space left on device\n"
