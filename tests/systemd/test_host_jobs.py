"""Host jobs where systemd runs: a unit for each job, which no other unit takes away."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
from pathlib import Path

import pytest

from launcher import Client
from launcher.pidfd import kernel_tells
from launcher.wire import JobView
from tests.support.wait import wait_until
from tests.systemd.conftest import OTHER, USER, Launch, answers, is_active, start_all, systemctl

ONE = ("-q", "--profile", "1g.6gb", "--")


def last(client: Client) -> JobView:
    return client.show("last").job


def runs(client: Client) -> bool:
    jobs = client.jobs()
    return bool(jobs) and last(client).state == "RUNNING"


def is_over(client: Client) -> bool:
    return last(client).state == "DONE" and {s.state for s in client.slices()} == {"free"}


def scopes() -> list[str]:
    listed = systemctl("list-units", "--plain", "--no-legend", "launcher-host-*.scope")
    return [line.split()[0] for line in listed.splitlines()]


def test_a_command_is_in_a_scope_of_its_own(start: Launch, client: Client) -> None:
    running = start(*ONE, "sh", "-c", "cat /proc/self/cgroup; exit 9")
    told, error = running.communicate(timeout=60)
    assert running.returncode == 9, error
    assert re.search(r"^0::/launcher\.slice/launcher-host-\w+-\d+-\d+\.scope$", told, re.MULTILINE)
    wait_until(lambda: is_over(client))
    assert last(client).exit_code == 9
    assert scopes() == []


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 255", 255), ("kill $$", 143)])
def test_exit_codes(start: Launch, client: Client, script: str, code: int) -> None:
    running = start(*ONE, "sh", "-c", script)
    running.communicate(timeout=60)
    assert running.returncode == code
    wait_until(lambda: last(client).exit_code == code)


def test_what_it_leaves_behind_keeps_the_slice(start: Launch, client: Client, fifo: Path) -> None:
    script = f"setsid sh -c '(setsid cat {fifo} >/dev/null 2>&1 &) &'; exit 3"
    running = start(*ONE, "sh", "-c", script)
    assert running.wait(60) == 3
    assert not is_over(client)
    assert len(scopes()) == 1
    fifo.write_text("")
    wait_until(lambda: is_over(client))
    assert last(client).exit_code == 3


@pytest.mark.parametrize("client_too", [False, True])
@pytest.mark.parametrize("helper_too", [False, True])
def test_a_job_outlives_the_services(
    start: Launch, client: Client, fifo: Path, client_too: bool, helper_too: bool
) -> None:
    running = start(*ONE, "sh", "-c", f"read line <{fifo}; exit 6")
    wait_until(lambda: runs(client))
    (scope,) = scopes()
    systemctl("stop", "launcher.service", "launcher.socket")
    if helper_too:
        systemctl("restart", "launcher-host.service")
        systemctl("kill", "--signal=KILL", "launcher-host.service")
    if client_too:
        running.kill()
        running.wait()
    assert is_active(scope)
    start_all()
    wait_until(answers, 30)
    assert not is_over(client)
    fifo.write_text("\n")
    if not client_too:
        assert running.wait(30) == 6
    wait_until(lambda: is_over(client), 30)
    known = not client_too or kernel_tells()
    assert last(client).exit_code == (6 if known else None)


def test_cancel_ends_the_whole_tree(start: Launch, client: Client) -> None:
    running = start(*ONE, "sh", "-c", "setsid sleep 600 & sleep 600")
    wait_until(lambda: runs(client))
    client.cancel(last(client).id)
    running.communicate(timeout=60)
    wait_until(lambda: is_over(client), 30)
    assert scopes() == []


def test_users_need_the_admins_leave(start: Launch) -> None:
    refused = start(*ONE, "true", user=OTHER)
    assert "host-groups" in refused.communicate(timeout=60)[1]
    assert refused.returncode != 0


def test_members_of_the_group_run_as_themselves(start: Launch, client: Client) -> None:
    running = start(*ONE, "sh", "-c", "id -u; cat /proc/self/cgroup; exit 8", user=USER)
    told, error = running.communicate(timeout=60)
    assert running.returncode == 8, error
    assert told.splitlines()[0] == str(pwd.getpwnam(USER).pw_uid)
    assert "/launcher.slice/launcher-host-" in told
    assert USER in {job.user for job in client.jobs(all=True)}


def test_the_units_are_as_they_are_written() -> None:
    for name in ("launcher-host.socket", "launcher-host-users.socket"):
        assert is_active(name)
    assert os.stat("/run/launcher/host.sock").st_mode & 0o777 == 0o600  # noqa: PTH116
    assert os.stat("/run/launcher/join.sock").st_mode & 0o777 == 0o666  # noqa: PTH116
    failed = subprocess.run(
        ["systemctl", "--failed", "--plain", "--no-legend"], capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert "launcher" not in failed.stdout
