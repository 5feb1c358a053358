"""The verbs that look: ps, show, slices, status, doctor; and stop. As tables, JSON and names."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.acceptance.conftest import MakeShell
from tests.acceptance.keys import JOB_KEYS, SLICE_KEYS, TIME
from tests.acceptance.shell import Shell
from tests.conftest import MakeDaemon
from tests.support.daemon import BUSYBOX, DaemonProcess


def words(line: str) -> str:
    """A line of a table without its alignment."""
    return " ".join(line.split())


def ended(launch: Shell, name: str = "ended") -> str:
    """The id of a job that failed with 3 on a slice."""
    asked = ("-d", "--name", name, "--profile", "1g.6gb", BUSYBOX, "sh", "-c", "exit 3")
    job = launch("run", *asked).ok().text.strip()
    assert launch("wait", job).code == 3
    return job


def running(launch: Shell, name: str = "running") -> str:
    """The id of a job that runs on two slices."""
    asked = ("--name", name, "--gpus", "1g.6gb:2", "-e", "SEED=1", BUSYBOX)
    started = launch.start("run", *asked, "sh", "-c", "echo ready; sleep 60")
    started.prints(b"ready\n")
    return launch("ps", "-o", "name").ok().text.split()[-1]


def test_ps_lists_what_waits_and_runs_and_all_on_request(launch: Shell) -> None:
    old, job = ended(launch), running(launch)
    waiting = launch("run", "-d", "--gpus", "1g.6gb:3", BUSYBOX, "true").ok().text.strip()
    lines = launch("ps").ok().text.splitlines()
    assert words(lines[0]) == "ID NAME USER STATE GPUS TIME EXIT IMAGE REASON"
    shown = {line.split()[0]: line for line in lines[1:]}
    assert list(shown) == [job, waiting]
    assert shown[job].split()[1:5] == ["running", "root", "RUNNING", "1g.6gb:2"]
    assert shown[waiting].split()[3:5] == ["PENDING", "1g.6gb:3"]
    assert "Resources" in shown[waiting]
    everything = launch("ps", "-a").ok().text
    assert re.search(rf"(?m)^{old} +ended +root +FAILED +1g\.6gb +\ds +3 ", everything)


def test_ps_of_some_is_by_id_range_name_and_last_ended_or_not(launch: Shell) -> None:
    first, second = ended(launch, "one"), ended(launch, "two")
    assert launch("ps", "-o", "name", first).ok().text.split() == [first]
    assert launch("ps", "-o", "name", f"{first}-{second}").ok().text.split() == [first, second]
    assert launch("ps", "-o", "name", "last", "one").ok().text.split() == [first, second]
    missing = launch("ps", "no-such-name")
    assert (missing.code, missing.out) == (1, b"")
    assert "there is no job no-such-name" in missing.err


def test_ps_as_json_has_the_promised_keys_and_times(launch: Shell) -> None:
    job = ended(launch)
    (row,) = launch("ps", job, "-o", "json").ok().json
    assert list(row)[: len(JOB_KEYS)] == JOB_KEYS
    assert all(TIME.fullmatch(row[key]) for key in ("submitted_at", "started_at", "ended_at"))
    assert (row["id"], row["outcome"], row["exit_code"]) == (int(job), "FAILED", 3)
    assert (row["profile"], row["count"], len(row["slices"])) == ("1g.6gb", 1, 1)
    assert row["command"] == ["sh", "-c", "exit 3"]
    assert launch("ps", "-o", "json").ok().json == []


def test_show_tells_the_spec_the_attempts_and_the_history(launch: Shell) -> None:
    job = running(launch)
    text = launch("show", job).ok().text
    for name, value in (("id", job), ("state", "RUNNING"), ("gpus", "1g.6gb:2"),
                        ("environment", "SEED=1"), ("pull", "missing")):  # fmt: skip
        assert re.search(rf"(?m)^{name}: +{re.escape(value)}$", text), name
    assert "ATTEMPT" in text
    assert re.search(r"Z  started  ", text)
    waiting = launch("run", "-d", "--gpus", "1g.6gb:3", BUSYBOX, "true").ok().text.strip()
    why = launch("show", waiting).ok().text
    assert "waits for Resources: needs 3 x 1g.6gb, 2 of 4 in use" in why
    assert re.search(r"(?m)^position: +1$", why)


def test_show_as_json_is_ps_and_more(launch: Shell) -> None:
    job = ended(launch)
    shown = launch("show", job, "-o", "json").ok().json
    (row,) = launch("ps", job, "-o", "json").ok().json
    assert {key: shown[key] for key in row} == row
    assert shown["spec"]["command"] == ["sh", "-c", "exit 3"]
    (attempt,) = shown["attempts"]
    assert (attempt["attempt"], attempt["exit_code"], attempt["slices"]) == (1, 3, row["slices"])
    assert [event["event"] for event in shown["events"]][:3] == ["submitted", "image", "granted"]
    assert all(TIME.fullmatch(event["at"]) for event in shown["events"])
    assert launch("show", job, "-o", "name").ok().text == f"{job}\n"


def test_slices_says_who_is_on_them(launch: Shell) -> None:
    job = running(launch)
    (row,) = launch("ps", job, "-o", "json").ok().json
    lines = launch("slices").ok().text.splitlines()
    assert words(lines[0]) == "GPU PROFILE MEMORY STATE JOB USER UUID WHY"
    on = [line.split() for line in lines[1:] if line.split()[4] == job]
    assert {cells[6] for cells in on} == set(row["slices"])
    assert {tuple(cells[:6]) for cells in on} == {("0", "1g.6gb", "5952MiB", "leased", job, "root")}
    found: list[dict[str, Any]] = launch("slices", "-o", "json").ok().json
    assert list(found[0])[: len(SLICE_KEYS)] == SLICE_KEYS
    assert sorted(each["state"] for each in found) == ["free", "free", "leased", "leased"]
    assert all(set(each["placement"]) == {"start", "size"} for each in found)
    names = launch("slices", "-o", "name").ok().text.split()
    assert names == [each["uuid"] for each in found]


def test_status_of_a_healthy_daemon_is_0(launch: Shell, shared: DaemonProcess) -> None:
    text = launch("status").ok().text
    assert re.search(r"(?m)^state: +healthy$", text)
    assert re.search(rf"(?m)^socket: +{re.escape(str(shared.socket))}$", text)
    found = launch("status", "-o", "json").ok().json
    assert (found["state"], found["problems"], found["slices"]) == ("healthy", [], {"free": 4})
    assert shared.process is not None
    assert found["pid"] == shared.process.pid
    assert launch("status", "-o", "name").ok().text == "healthy\n"


def test_doctor_says_what_is_well_and_how_to_mend_the_rest(launch: Shell) -> None:
    done = launch("doctor").ok()
    checks = launch("doctor", "-o", "json").ok().json
    assert {tuple(check) for check in checks} == {("check", "state", "message", "fix")}
    states = {check["check"]: check["state"] for check in checks}
    assert {states[name] for name in ("daemon", "docker", "nvml", "gpu 0", "live-restore")} == {
        "ok"
    }
    for check in checks:
        told = re.sub(r"\d+\\ MiB", r"\\d+ MiB", re.escape(check["message"]))
        told = re.sub(r"\d\d:\d\d\\ UTC", r"\\d\\d:\\d\\d\\ UTC", told)
        assert re.search(told, done.text), "between two looks the disk may fill, and a minute pass"
        assert check["state"] == "ok" or f"{check['check']}: {check['fix']}" in done.err
    assert launch("doctor", "-o", "name").ok().text.splitlines() == [c["check"] for c in checks]


@pytest.mark.parametrize("verb", ["ps", "show", "slices", "status", "doctor", "wait", "cancel"])
def test_a_form_that_does_not_exist_is_wrong_usage(launch: Shell, verb: str) -> None:
    done = launch(verb, "-o", "yaml")
    assert (done.code, done.out) == (2, b"")
    assert "'table', 'json', 'name'" in done.err


def test_stop_ends_the_daemon_and_the_next_one_takes_its_jobs_over(
    make_daemon: MakeDaemon, shell_for: MakeShell
) -> None:
    daemon = make_daemon().start()
    launch = shell_for(daemon)
    script = "echo ready; sleep 1.5; echo done; exit 4"
    following = launch.start("run", "--profile", "1g.6gb", BUSYBOX, "sh", "-c", script)
    following.prints(b"ready\n")
    assert daemon.process is not None
    pid = daemon.process.pid
    stopped = launch("stop").ok()
    assert stopped.err == f"the daemon (pid {pid}) ends; its jobs go on\n"
    assert stopped.out == b""
    assert daemon.process.wait(10) == 0
    assert launch("status").code == 3
    daemon.start()
    ended = following.end()
    assert (ended.code, ended.out) == (4, b"ready\ndone\n")
    document = launch("stop", "-o", "json").ok().json
    assert document["pid"] == daemon.process.pid
    assert daemon.process.wait(10) == 0
