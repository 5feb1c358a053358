"""``launch show --docker``: what it prints, run by a shell, makes the job's container again."""

from __future__ import annotations

import json
import os
import pwd
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from launcher.fakegpu.sandbox import Sandbox
from tests.acceptance.shell import Shell
from tests.support.daemon import BUSYBOX, DaemonProcess
from tests.support.wait import wait_until

SPEC = "A30:1g.6gb*2/2g.12gb"
USER = pwd.getpwnam("games")
EVIL = "two\nlines, 'quotes\" \\ $HOME `x` \x1b[31m"
JOB = {
    "image": BUSYBOX,
    "gpus": "1g.6gb:2",
    "entrypoint": ["sh", "-c"],
    "command": ["sleep 600 # a 'b'", EVIL],
    "environment": {"EVIL": EVIL, "NONE": ""},
    "cpus": 0.5,
    "ulimits": {"stack": 8388608, "nofile": {"soft": 99, "hard": 100}},
    "mem_limit": "64m",
    "shm_size": "1m",
    "hostname": "worker-1",
    "working_dir": "/tmp",
}
OTHERWISE = {"LogConfig", "AutoRemove", "Mounts", "Tmpfs", "ConsoleSize", "ContainerIDFile"}
"""What ``docker run`` has otherwise: the daemon reads logs, removes containers, has directories."""


def run_by_a_shell(text: str, sandbox: Sandbox) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"DOCKER_HOST": sandbox.docker_host}
    return subprocess.run(
        ["bash", "-c", text], env=environment, capture_output=True, text=True, check=False
    )


def inspected(sandbox: Sandbox, container: str) -> dict[str, Any]:
    done = run_by_a_shell(f"docker inspect {container}", sandbox)
    found: dict[str, Any] = json.loads(done.stdout)[0]
    return found


def compared(container: dict[str, Any]) -> dict[str, Any]:
    """Return what the two containers have alike: empty lists and none mean the same."""
    config = container["Config"]
    # `docker run` takes one word as entrypoint: the others are the command's first.
    program = {"Path": container["Path"], "Args": container["Args"]}
    names = ("Env", "Image", "User", "WorkingDir", "Healthcheck", "Domainname")
    own = {name: config.get(name) for name in names}
    host = {k: v for k, v in container["HostConfig"].items() if k not in OTHERWISE}
    everything = {name: value or None for name, value in (program | own | host).items()}
    for name in ("Env", "Ulimits"):
        everything[name] = sorted(map(str, everything[name] or ()))
    for request in everything.get("DeviceRequests") or ():
        request["Capabilities"] = [sorted(each) for each in request["Capabilities"]]
    return everything


def started(shared: DaemonProcess, launch: Shell) -> dict[str, Any]:
    """Return the newest job once it runs."""
    wait_until(lambda: launch("show", "last", "-o", "json").json["state"] == "RUNNING", 30, "runs")
    found: dict[str, Any] = launch("show", "last", "-o", "json").json
    return found


@pytest.mark.parametrize("user", ["root", "games"])
def test_the_container_is_the_jobs(
    user: str, launch: Shell, games: Shell, shared: DaemonProcess, sandbox: Sandbox
) -> None:
    shell = launch if user == "root" else games
    shell("submit", "-", stdin=json.dumps(JOB).encode()).ok()
    job = started(shared, shell)
    done = shell("show", "--docker", "last").ok()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", done.text)
    assert "another job may use the same slice" in done.err
    text = done.text.replace("docker run", "docker create", 1).replace("--rm", "", 1)
    made = run_by_a_shell(text.replace("  \\\n", ""), sandbox)
    assert made.returncode == 0, made
    try:
        ours, theirs = (inspected(sandbox, c) for c in (job["container_id"], made.stdout.strip()))
    finally:
        run_by_a_shell(f"docker rm -f {made.stdout.strip()}", sandbox)
    assert compared(theirs) == compared(ours)
    assert theirs["Config"]["Hostname"] == ours["Config"]["Hostname"]
    assert not any(name.startswith("launcher.") for name in theirs["Config"]["Labels"])
    uuids = theirs["HostConfig"]["DeviceRequests"][0]["DeviceIDs"]
    assert uuids == job["slices"]


@pytest.mark.parametrize("user", ["root", "games"])
def test_it_prints_what_the_job_printed(
    user: str, launch: Shell, games: Shell, sandbox: Sandbox, tmp_path: Path
) -> None:
    shell = launch if user == "root" else games
    script = 'echo "$EVIL"; id -u; id -g; pwd; echo $HOME; touch $HOME/x /tmp/y && ulimit -n'
    words = ("--gpus", "1g.6gb", "-e", f"EVIL={EVIL}", BUSYBOX, "sh", "-c", script)
    ours = shell("run", *words).ok()
    done = run_by_a_shell(shell("show", "--docker", "last").ok().text, sandbox)
    assert (done.returncode, done.stdout) == (0, ours.text), done.stderr


def test_mounts_with_commas_and_quotes_are_the_jobs(
    launch: Shell, sandbox: Sandbox, tmp_path: Path
) -> None:
    place = tmp_path / 'a,"b" c'
    place.mkdir()
    (place / "x").write_text("here\n")
    launch("run", "-v", f"{place}:/m,n:ro", BUSYBOX, "cat", "/m,n/x").ok()
    text = launch("show", "--docker", "last").ok().text
    assert run_by_a_shell(text, sandbox).stdout == "here\n"


def test_a_job_that_waits_has_a_placeholder_and_says_so(launch: Shell) -> None:
    launch("run", "-d", "--hold", "--gpus", "1g.6gb:2", BUSYBOX, "true").ok()
    done = launch("show", "--docker", "last").ok()
    assert '"device=SLICE-1,SLICE-2"' in done.text
    assert "has no slice yet: put a slice's UUID in place of SLICE-1, SLICE-2" in done.err
    document = launch("show", "--docker", "last", "-o", "json").ok().json
    assert document["words"][:2] == ["docker", "run"]
    assert document["notes"]


def test_secrets_are_named_and_never_shown(games: Shell, tmp_path: Path) -> None:
    secret = games.directory / "secret"
    secret.write_text("SECRET-4711")
    secret.chmod(0o644)
    games("run", "-d", "--hold", "--secret", f"token={secret}", BUSYBOX, "true").ok()
    done = games("show", "--docker", "last").ok()
    assert "the secret token is left out" in done.err
    assert "SECRET-4711" not in done.text + done.err
    assert "kept:" not in done.text + done.err


def test_others_see_no_more_than_show_lets_them(launch: Shell, games: Shell) -> None:
    launch("run", "-d", "--hold", "-e", "TOKEN=SECRET-1", BUSYBOX, "true").ok()
    number = launch("show", "last", "-o", "name").text.strip()
    refused = games("show", "--docker", number)
    assert (refused.code, refused.text) == (1, "")
    assert "Only its owner and an admin may do this" in refused.err
    games("run", "-d", "--hold", "-e", "TOKEN=SECRET-2", BUSYBOX, "true").ok()
    number = games("show", "last", "-o", "name").text.strip()
    done = launch("show", "--docker", number).ok()
    assert "--env=TOKEN=***" in done.text
    assert "SECRET-2" not in done.text + done.err
    assert "only the owner sees" in done.err


def test_one_element_of_an_array_must_be_named(launch: Shell) -> None:
    launch("run", "-d", "--hold", "--array", "3-5", BUSYBOX, "true").ok()
    whole = launch("show", "--docker", "last")
    assert (whole.code, "Name one of them" in whole.err) == (2, True)
    assert "--env=LAUNCHER_ARRAY_INDEX=4" in launch("show", "--docker", "last[4]").ok().text


def test_a_host_job_has_no_docker_command(launch: Shell) -> None:
    launch("host", "-d", "--hold", "--", "true").ok()
    done = launch("show", "--docker", "last")
    assert (done.code, "runs on the machine itself, without Docker" in done.err) == (2, True)
