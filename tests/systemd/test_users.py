"""What ordinary users have of the installed service: their mounts, and jobs in the background."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path

from launcher import Client
from tests.support.wait import wait_until
from tests.systemd.conftest import LAUNCH, USER, as_user, systemctl

PERSON = pwd.getpwnam(USER)


def said(*words: str, directory: Path = Path(PERSON.pw_dir)) -> str:
    """Return what a verb prints for the user."""
    done = subprocess.run(
        as_user(USER, LAUNCH, *words),
        cwd=directory, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_user_may_mount_what_is_his() -> None:
    place = Path(PERSON.pw_dir) / "mine"
    place.mkdir(exist_ok=True)
    os.chown(place, PERSON.pw_uid, PERSON.pw_gid)
    file = place / "job.yaml"
    file.write_text("image: busybox\nvolumes: [./:/mine]\n")
    assert "busybox" in said("submit", "--dry-run", str(file))


def test_a_background_job_is_a_service_with_a_log(client: Client) -> None:
    script = "id -u; pwd; echo $HOME $CUDA_VISIBLE_DEVICES; cat /proc/self/cgroup; echo err >&2"
    number = said("host", "-d", "--profile", "1g.6gb", "--", "sh", "-c", script).strip()
    said("wait", number)
    uid, place, own, *cgroups = said("logs", number).splitlines()
    assert (uid, place) == (str(PERSON.pw_uid), PERSON.pw_dir)
    assert own.startswith(f"{PERSON.pw_dir} MIG-")
    unit = f"launcher-host-{client.status().store}-{number}-1.service"
    assert f"0::/launcher.slice/{unit}" in cgroups
    wait_until(lambda: unit not in systemctl("list-units", "--all", "--plain"), timeout=20)
    assert client.show(number).job.exit_code == 0
