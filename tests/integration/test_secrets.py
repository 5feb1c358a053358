"""Secrets of jobs on a real dockerd: read by their own container, and found nowhere else."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import pwd
import re
import sqlite3
from pathlib import Path
from secrets import token_hex

import pytest

from launcher.core.model.ids import LABEL_JOB
from launcher.engine.containers import Containers
from launcher.errors import LauncherError, StaleRequest, UserError
from launcher.fakegpu.processes import unmount_below
from launcher.store.connect import FILE_NAME
from launcher.wire import ArrayRequest, GpuRequest, JobSpec, JobView, SubmitRequest
from tests.conftest import MakeDaemon
from tests.support.daemon import BUSYBOX, CONFIG, DaemonProcess, as_user
from tests.support.wait import wait_until

ALICE, BOB = (pwd.getpwnam(name) for name in ("games", "news"))
NONE = GpuRequest(kind="none")
ALL = GpuRequest(kind="profile", profile="1g.6gb", count=4)
WAIT = "echo ready; while [ ! -e /tmp/go ]; do sleep 0.05; done; cat /run/secrets/token"
LOOK = """\
sha256sum < /run/secrets/token; id -u
stat -c '%a %u %g' /run/secrets/token /run/secrets
grep ' /run/secrets ' /proc/mounts | cut -d' ' -f3
touch /run/secrets/x 2>/dev/null || echo 'no new file'
(echo x > /run/secrets/token) 2>/dev/null || echo 'no other content'
"""


@pytest.fixture
def daemon(pins: Path, make_daemon: MakeDaemon) -> DaemonProcess:
    """A daemon with a place of its own for pins."""
    config = f'{CONFIG}pins_directory = "{pins}"\nlog_level = "debug"\n'
    return make_daemon(config=config).start()


@pytest.fixture
def secret() -> str:
    """What nobody may find anywhere but the job."""
    return f"SECRET-{token_hex(12)}"


def asked(secret: str | None, *command: str, **fields: object) -> JobSpec:
    told = None if secret is None else base64.b64encode(secret.encode()).decode()
    base = {"name": "mine", "image": BUSYBOX, "gpus": NONE, "secrets": {"token": told}} | fields
    return JobSpec(command=list(command), stop_grace_period=0.2, **base)  # type: ignore[arg-type]


def submit(daemon: DaemonProcess, request: JobSpec, uid: int = ALICE.pw_uid) -> JobView:
    with as_user(uid):
        return daemon.client.submit([request])[0]


def kept(daemon: DaemonProcess) -> list[Path]:
    """Return the files that the daemon keeps secrets in."""
    return sorted((daemon.state / "secrets").glob("*/*"))


def mounted(pins: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4] for line in lines if f"{pins}/" in line]


def let_go(docker: Containers, job: JobView) -> None:
    """Let a job that waits for it end."""
    (container,) = [c for c in docker.running() if c["Labels"][LABEL_JOB] == str(job.id)]
    with docker._connection.borrow() as api:
        made = api.exec_create(container["Id"], ["touch", "/tmp/go"])
        api.exec_start(made["Id"])


def places_with(daemon: DaemonProcess, secret: str) -> list[str]:
    """Return the files of the daemon that hold a secret, as it is or in base64."""
    encoded = base64.b64encode(secret.encode()).rstrip(b"=")[:-1]
    homes = daemon.state / "homes"  # the directories of ended jobs are being deleted
    walked = ((Path(place), names) for place, _, names in os.walk(daemon.state))
    files = [place / name for place, names in walked for name in names]
    files = [p for p in files if homes not in p.parents and p.is_file()]
    read = {str(path): path.read_bytes() for path in [*files, daemon.log]}
    database = sqlite3.connect(f"file:{daemon.state / FILE_NAME}?mode=ro", uri=True)
    read["a dump of the database"] = "\n".join(database.iterdump()).encode()
    database.close()
    return [where for where, data in read.items() if secret.encode() in data or encoded in data]


def test_a_job_reads_its_secret_as_its_own_user_and_then_it_is_gone(
    daemon: DaemonProcess, docker: Containers, pins: Path, secret: str
) -> None:
    job = submit(daemon, asked(secret, "sh", "-c", f"{LOOK}{WAIT} | wc -c"))
    wait_until(lambda: b"ready" in daemon_log(daemon, job), what="it has looked")
    (file,) = kept(daemon)
    assert (file.stat().st_mode & 0o777, file.parent.name) == (0o600, str(ALICE.pw_uid))
    place = f"{pins}/{daemon.client.show(job.id).attempts[0].container_name}/secrets"
    assert mounted(pins) == [place]
    with as_user(BOB.pw_uid, reading=False), pytest.raises(PermissionError):
        list(Path(place).iterdir())
    assert places_with(daemon, secret) == [str(file)]
    let_go(docker, job)
    assert daemon.done(job).outcome == "COMPLETED"
    uid, gid = ALICE.pw_uid, ALICE.pw_gid
    digest = hashlib.sha256(secret.encode()).hexdigest()
    assert daemon.output(job).decode().splitlines() == [
        f"{digest}  -", str(uid), f"400 {uid} {gid}", f"500 {uid} {gid}", "tmpfs",
        "no new file", "no other content", "ready", str(len(secret)),
    ]  # fmt: skip
    wait_until(lambda: not mounted(pins) and not kept(daemon), what="all of it is gone")
    wait_until(lambda: not list(pins.iterdir()), what="its place is gone")
    assert places_with(daemon, secret) == []


def daemon_log(daemon: DaemonProcess, job: JobView) -> bytes:
    return b"".join(frame.data for frame in daemon.client.logs(str(job.id)) if frame.stream == 1)


def test_names_are_shown_to_the_owner_and_admins_and_nothing_to_others(
    daemon: DaemonProcess, secret: str
) -> None:
    job = submit(daemon, asked(secret, "true", hold=True))
    for uid in (ALICE.pw_uid, 0):
        with as_user(uid):
            shown = daemon.client.show(job.id)
        assert shown.spec is not None
        assert shown.spec.secrets == {"token": None}
    with as_user(BOB.pw_uid):
        assert daemon.client.show(job.id).spec is None
    assert re.search(r"^secrets: +token$", daemon.cli("show", str(job.id)).stdout, re.MULTILINE)
    told = [daemon.cli(verb, str(job.id), "-o", "json").stdout for verb in ("show", "why")]
    told.append(daemon.cli("audit", "-o", "json").stdout)
    assert json.loads(told[0])["spec"]["secrets"] == {"token": None}
    (file,) = kept(daemon)
    for text in told:
        assert base64.b64encode(secret.encode()).decode() not in text
        assert file.name not in text, "nor where it is kept"
    daemon.client.cancel(job.id)
    assert kept(daemon) == []


def test_another_users_job_sees_nothing_of_it(daemon: DaemonProcess, secret: str) -> None:
    job = submit(daemon, asked(secret, "sh", "-c", WAIT))
    daemon.until(job, "RUNNING")
    script = "ls /run/secrets; cat /proc/[0-9]*/root/run/secrets/token"
    other = submit(daemon, asked(None, "sh", "-c", script, secrets={}), BOB.pw_uid)
    daemon.done(other)
    assert daemon.output(other) == b""
    assert b"No such file" in daemon.output(other, stream=2)
    daemon.client.cancel(job.id)


def test_a_secret_outlives_a_killed_daemon_while_its_job_waits_and_while_it_runs(
    daemon: DaemonProcess, docker: Containers, pins: Path, secret: str
) -> None:
    first = daemon.until(daemon.submit("sleep", "60", gpus=ALL), "RUNNING")
    one = GpuRequest(kind="profile", profile="1g.6gb")
    job = submit(daemon, asked(secret, "sh", "-c", WAIT, gpus=one))
    daemon.kill()
    stray = daemon.state / "secrets" / str(BOB.pw_uid)
    stray.mkdir()
    (stray / ("0" * 32)).write_text("of a submit that was never acknowledged")
    daemon.start()
    assert [path.parent.name for path in kept(daemon)] == [str(ALICE.pw_uid)]
    daemon.client.cancel(first.id)
    daemon.until(job, "RUNNING")
    daemon.kill()
    daemon.start()
    let_go(docker, job)
    assert daemon.done(job).outcome == "COMPLETED"
    assert daemon.output(job).decode() == f"ready\n{secret}"
    wait_until(lambda: not mounted(pins) and not kept(daemon), what="all of it is gone")


def cut_off_before_the_start(daemon: DaemonProcess, secret: str) -> JobView:
    """Let the daemon die between the create and the start of a job's container."""
    daemon.stop()
    daemon.extra = {"LAUNCHER_CRASH_AT": "start:before"}
    daemon.start()
    job = submit(daemon, asked(secret, "cat", "/run/secrets/token"))
    assert daemon.process is not None
    daemon.process.wait(20)
    daemon.extra = {}
    return job


def test_a_container_that_was_made_before_a_reboot_is_started_with_its_secrets(
    daemon: DaemonProcess, pins: Path, secret: str
) -> None:
    job = cut_off_before_the_start(daemon, secret)
    unmount_below(pins)
    daemon.start()
    assert daemon.done(job).outcome == "COMPLETED"
    assert daemon.output(job).decode() == secret


def test_a_container_whose_record_is_lost_is_started_with_its_secrets(
    daemon: DaemonProcess, secret: str
) -> None:
    job = cut_off_before_the_start(daemon, secret)
    for beside in ("", "-wal", "-shm"):
        (daemon.state / f"{FILE_NAME}{beside}").unlink(missing_ok=True)
    daemon.words = ["--rebuild-from-docker"]
    daemon.start()
    assert daemon.done(job).outcome == "COMPLETED"
    assert daemon.output(job).decode() == secret
    wait_until(lambda: not kept(daemon), what="it is gone")


def test_a_start_that_fails_quotes_nothing(daemon: DaemonProcess, pins: Path, secret: str) -> None:
    missing = submit(daemon, asked(secret, "/no/such/program"))
    assert daemon.done(missing).exit_code == 127
    queued = submit(daemon, asked(secret, "true", hold=True))
    wait_until(lambda: not mounted(pins), what="the first is over")
    pins.chmod(0o755)  # the helper makes nothing where others can look
    with pytest.raises(LauncherError, match="is accessible to users other than root"):
        submit(daemon, asked(secret, "true"))
    daemon.client.release(queued.id)
    held = wait_until(lambda: held_reason(daemon, queued), timeout=20, what="it is held")
    assert "is accessible to users other than root" in held
    gone = submit_gone(daemon, pins, secret)
    ended = daemon.done(gone)
    assert (ended.outcome, ended.message) == (
        "FAILED",
        "secrets: no longer stored; submit the job again",
    )
    files = [str(path) for path in kept(daemon)]
    told = [daemon.cli("show", str(j.id), "-o", "json").stdout for j in (missing, queued, gone)]
    assert not [text for text in told if secret in text]
    assert places_with(daemon, secret) == files
    assert len(files) == 1, "of the job that is held"


def held_reason(daemon: DaemonProcess, job: JobView) -> str:
    found = daemon.client.show(job.id).job
    return (found.message or "") if found.reason == "NeverStarted" else ""


def submit_gone(daemon: DaemonProcess, pins: Path, secret: str) -> JobView:
    """Queue a job whose secrets somebody deletes."""
    pins.chmod(0o700)
    before = kept(daemon)
    gone = submit(daemon, asked(secret, "true", hold=True))
    (file,) = set(kept(daemon)) - set(before)
    file.unlink()
    daemon.client.release(gone.id)
    return gone


def test_the_elements_of_an_array_share_a_secret_until_the_last_has_ended(
    daemon: DaemonProcess, secret: str
) -> None:
    script = 'cat /run/secrets/token; [ "$LAUNCHER_ARRAY_INDEX$LAUNCHER_ATTEMPT" != 01 ]'
    request = asked(secret, "sh", "-c", script, array=ArrayRequest(indices=[0, 1]))
    with as_user(ALICE.pw_uid):
        first, second = daemon.client.submit([request])
        blocked = daemon.client.submit(
            [asked(secret, "true", name="later", depends_on={str(first.array["id"]): "afterok"})]  # type: ignore[index]
        )[0]
    assert daemon.done(first).outcome == "FAILED"
    assert daemon.done(second).outcome == "COMPLETED"
    assert daemon.done(blocked).outcome == "CANCELLED"
    wait_until(lambda: not kept(daemon), what="nobody needs it any more")
    with as_user(ALICE.pw_uid), pytest.raises(StaleRequest) as caught:
        daemon.client.retry([first.id])
    assert "its secrets were deleted" in str(caught.value)
    assert "Submit it again" in str(caught.value)


def test_an_element_runs_again_while_others_of_its_array_still_need_the_secret(
    daemon: DaemonProcess, secret: str
) -> None:
    script = f"[ $LAUNCHER_ARRAY_INDEX = 1 ] && {{ {WAIT}; exit; }}; [ $LAUNCHER_ATTEMPT = 2 ]"
    request = asked(secret, "sh", "-c", script, array=ArrayRequest(indices=[0, 1]))
    with as_user(ALICE.pw_uid):
        first, second = daemon.client.submit([request])
    assert daemon.done(first).outcome == "FAILED"
    daemon.until(second, "RUNNING")
    with as_user(ALICE.pw_uid):
        daemon.client.retry([first.id])
        daemon.client.requeue(second.id)
    assert daemon.done(first).outcome == "COMPLETED"
    daemon.until(second, "RUNNING")
    assert len(kept(daemon)) == 1
    daemon.client.cancel(second.id)
    wait_until(lambda: not kept(daemon), what="nobody needs it any more")


def test_what_is_only_tried_needs_no_content_and_keeps_none(
    daemon: DaemonProcess, secret: str
) -> None:
    for content in (None, secret):
        request = asked(content, "true")
        with as_user(ALICE.pw_uid):
            assert daemon.client.submit([request], dry_run=True)[0].id == 0
            assert daemon.client.queue.whatif([request])
    body = {
        "jobs": [{"name": "a", "image": BUSYBOX, "secrets": {"t": "c2VjcmV0"}}],
        "dry_run": True,
    }
    assert daemon.client._post("/v1/jobs", body)[0]["id"] == 0
    with pytest.raises(UserError, match="'token' has no content"):
        submit(daemon, asked(None, "true"))
    with pytest.raises(UserError, match="is not a file name"):
        submit(daemon, asked(None, "true", secrets={"../token": "c2VjcmV0"}))
    with pytest.raises(UserError, match="is not in base64") as caught:
        submit(daemon, asked(None, "true", secrets={"token": f"{secret}!"}))
    assert secret not in str(caught.value)
    assert SubmitRequest(jobs=[asked(secret, "true")]).jobs[0].secrets
    assert kept(daemon) == []
    assert places_with(daemon, secret) == []


def test_the_commands_read_the_file_as_the_user_who_asks(
    daemon: DaemonProcess, tmp_path: Path, secret: str
) -> None:
    (tmp_path / "token").write_text(secret)
    (tmp_path / "job.yaml").write_text(
        f"name: filed\nimage: {BUSYBOX}\ncommand: [cat, /run/secrets/key]\n"
        "secrets: {key: token}\n"
    )
    ran = daemon.cli(
        "run", "-q", "--secret", f"key={tmp_path}/token", BUSYBOX, "cat", "/run/secrets/key"
    )
    assert (ran.stdout, ran.returncode) == (secret, 0), ran.stderr
    filed = daemon.cli("submit", "--wait", str(tmp_path / "job.yaml"))
    assert filed.returncode == 0, filed.stderr
    assert daemon.cli("logs", "filed").stdout == secret
    refused = daemon.cli("run", "--secret", f"key={tmp_path}/gone", BUSYBOX, "true")
    assert refused.returncode == 2
    assert "cannot read the secret" in refused.stderr
