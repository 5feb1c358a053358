"""``launch events``: what happens, in order, once each, as JSON lines that others may read."""

from __future__ import annotations

import json
import pwd
import subprocess
from typing import Any

from tests.acceptance.shell import Shell
from tests.support.daemon import BUSYBOX, LAUNCH, DaemonProcess

USER = pwd.getpwnam("games")


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_what_happened_to_a_job_is_in_order_and_private_to_its_owner(
    games: Shell, launch: Shell
) -> None:
    games("run", "--name", "train", "--gpus", "1g.6gb", BUSYBOX, "sh", "-c", "exit 3")
    job = games("ps", "-a", "-o", "name").ok().text.split()[-1]

    def of(shell: Shell, *words: str) -> list[dict[str, Any]]:
        found = lines(shell("events", "--since", "1h", *words).ok().text)
        return [event for event in found if event["job"] and str(event["job"]["id"]) == job]

    own = of(games, "--type", "job")
    assert [event["type"] for event in own] == ["job.submitted", "job.started", "job.ended"]
    ended = own[-1]
    assert (ended["version"], ended["user"], ended["job"]["name"]) == (1, USER.pw_name, "train")
    assert (ended["job"]["outcome"], ended["job"]["exit_code"]) == ("FAILED", 3)
    assert ended["text"] == f"job {job} (train) of {USER.pw_name}: FAILED, exit code 3"
    assert of(launch, "--type", "job.ended", "--user", USER.pw_name) == [ended], "admins see all"


def test_others_see_neither_name_nor_image(games: Shell, launch: Shell) -> None:
    launch("run", "--name", "private", "--gpus", "none", BUSYBOX, "true").ok()
    found = lines(games("events", "--type", "job.ended", "--user", "root").ok().text)[-1]
    assert (found["job"]["name"], found["job"]["image"]) == (None, None)
    assert (found["job"]["outcome"], found["user"]) == ("COMPLETED", "root")
    assert "private" not in json.dumps(found)


def test_followers_get_new_events_as_they_happen(shared: DaemonProcess, launch: Shell) -> None:
    command = [*LAUNCH, "events", "-f", "--since", "1m", "--type", "job.ended"]
    with subprocess.Popen(
        command, env=shared.environment, stdout=subprocess.PIPE, text=True
    ) as following:
        assert following.stdout is not None
        try:
            launch("run", "--name", "watched", "--gpus", "none", BUSYBOX, "true").ok()
            names = (json.loads(line)["job"]["name"] for line in following.stdout)
            assert "watched" in names
        finally:
            following.terminate()
