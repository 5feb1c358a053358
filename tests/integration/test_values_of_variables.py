"""What variables are set to may be secret: it is the owner's to read, and nowhere else."""

from __future__ import annotations

import json
import pwd
import sqlite3
from collections.abc import Iterator
from dataclasses import replace

import pytest

from launcher import Client
from launcher.errors import LauncherError
from launcher.fakegpu.sandbox import Sandbox
from launcher.wire import EditRequest, GpuRequest, JobSpec, Mount, Retries
from tests.conftest import MakeDaemon
from tests.support.api import BASE, session
from tests.support.daemon import BUSYBOX, DaemonProcess, as_user
from tests.support.proxy import FaultyDocker
from tests.support.wait import wait_until

ALICE, BOB = (pwd.getpwnam(name) for name in ("games", "news"))
VALUE = "hunter2-is-told-to-nobody"
SECRET = {"TOKEN": VALUE}
SOUND = JobSpec(
    name="secret",
    image=BUSYBOX,
    command=("true",),
    environment=SECRET,
    gpus=GpuRequest(kind="none"),
    stop_grace_period=1.0,
)
CONFIG = """\
inventory_seconds = 1.0
sweep_seconds = 1.0
[policy]
images = ["docker.io/launcher/*"]
"""
REFUSED: dict[str, dict[str, object]] = {
    "a name of the toolkit's": {"environment": {"NVIDIA_VISIBLE_DEVICES": VALUE}},
    "a name of the loader's": {"environment": {"LD_PRELOAD": VALUE}},
    "no name": {"environment": {"a b": VALUE}},
    "an empty name": {"environment": {"": VALUE}},
    "more than a job may have": {"environment": {"LONG": VALUE * 4000}},
    "a NUL": {"environment": {"TOKEN": f"{VALUE}\0"}},
    "another image": {"image": "evil/x:1"},
    "no image": {"image": " "},
    "another's user": {"user": "0"},
    "another's priority": {"priority": 90},
    "another's files": {"volumes": [Mount(source="/etc", target="/x")]},
    "a network": {"network_mode": "host"},
    "a profile": {"policy_profile": "none"},
    "too much memory": {"mem_limit": 2**50},
    "no slice": {"gpus": GpuRequest(kind="profile", profile="9g.90gb")},
    "nobody before it": {"depends_on": {"nobody": "afterok"}},
    "a time that is none": {"begin": "never"},
    "ends that are none": {"retries": Retries(max=1, on=("exit:x",))},
}
UNREADABLE = (
    f'{{"jobs": [{{"name": "x", "image": "y", "environment": {{"TOKEN": "{VALUE}"}}',
    f'{{"jobs": [{{"name": "x", "image": "y", "environment": ["TOKEN={VALUE}"]}}]}}',
    f'{{"jobs": [{{"name": "x", "image": "y", "environment": {{"TOKEN": ["{VALUE}"]}}}}]}}',
    f'{{"jobs": [{{"name": "x", "environment": {{"TOKEN": "{VALUE}"}}}}]}}',
    f'{{"jobs": [{{"name": 5, "image": "y", "env": {{"TOKEN": "{VALUE}"}}}}]}}',
)


@pytest.fixture
def proxy(sandbox: Sandbox) -> Iterator[FaultyDocker]:
    with FaultyDocker(sandbox.docker_host) as made:
        yield made


@pytest.fixture
def daemon(make_daemon: MakeDaemon, proxy: FaultyDocker) -> DaemonProcess:
    made = make_daemon(config=CONFIG, docker_host=proxy.docker_host)
    made.words = ["--log-level", "debug"]
    return made.start()


def refusals(daemon: DaemonProcess) -> list[str]:
    """Have everything refused that can be; returns what was said."""
    heard = []
    for fields in REFUSED.values():
        asked = replace(SOUND, **fields)
        for jobs in ([asked], [SOUND, asked]):
            with pytest.raises(LauncherError) as refused:
                daemon.client.submit(jobs)
            heard.append(str(refused.value))
    with pytest.raises(LauncherError) as refused:
        daemon.client.queue.whatif([asked])
    heard.append(str(refused.value))
    return heard


def unreadable(daemon: DaemonProcess) -> list[str]:
    """Send a malformed request; returns the reply."""
    heard = []
    with session(daemon.socket, ALICE.pw_uid) as asking:
        for body in UNREADABLE:
            answer = asking.post(f"{BASE}/v1/jobs", data=body)
            assert answer.status_code == 400
            heard.append(answer.text)
    return heard


def submit(daemon: DaemonProcess, **fields: object) -> int:
    """Submit as Alice, and be root again: the proxy in this process is whoever that is."""
    with as_user(ALICE.pw_uid):
        return daemon.client.submit([replace(SOUND, **fields)])[0].id


def failing(daemon: DaemonProcess, proxy: FaultyDocker) -> list[int]:
    """Return jobs that end in every way, and one that waits."""
    client = daemon.client
    quoted = f"invalid environment variable: TOKEN={VALUE}"
    proxy.add(r"POST .*/containers/create\?name=launch-(?!reading)", "500", times=3, body=quoted)
    ids = [submit(daemon)]
    wait_until(lambda: client.show(ids[0]).job.message, timeout=30, what="Docker has refused it")
    for fields in (
        {},
        {"command": ["no-such-program"]},
        {"command": ["sh", "-c", "exit 3"]},
        {"working_dir": "/etc/passwd"},
        {"image": "launcher/missing:1", "pull_policy": "never"},
        {"image": "launcher/wrong:1"},
    ):
        job = submit(daemon, **fields)
        assert client.wait(job, timeout=120).outcome, fields  # a pull is tried three times
        ids.append(job)
    ids.append(submit(daemon, hold=True))
    with as_user(ALICE.pw_uid):
        client.retry([ids[1]])
        client.edit(ids[-1], EditRequest(priority=3))
        client.queue.why(ids[-1])
    return ids


def answers_to_others(daemon: DaemonProcess, ids: list[int]) -> str:
    """Return all that an admin and another user are told of these jobs."""
    paths = ["status", "slices", "jobs?all=1", "queue", "queue/head", "doctor", "layout/changes"]
    paths += [f"jobs/{i}{what}" for i in ids for what in ("", "/why", "/wait?timeout=0")]
    heard = []
    for uid in (BOB.pw_uid, 0):
        with session(daemon.socket, uid) as asking:
            for path in (*paths, "audit", *(f"jobs/{i}/logs" for i in ids)):
                answer = asking.get(f"{BASE}/v1/{path}")
                assert uid != 0 or answer.status_code == 200, answer.text
                heard.append(answer.text)
    return "\n".join(heard)


def places_in_the_database(daemon: DaemonProcess) -> set[str]:
    """Return the columns that hold the value."""
    found = set()
    db = sqlite3.connect(daemon.state / "launcher.db")
    for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        rows = db.execute(f"SELECT * FROM {table}")
        columns = [column[0] for column in rows.description]
        for row in rows:
            found |= {f"{table}.{c}" for c, v in zip(columns, row, strict=True) if VALUE in str(v)}
    db.close()
    return found


def test_values_of_variables_are_told_to_nobody_but_their_owner(
    daemon: DaemonProcess, proxy: FaultyDocker
) -> None:
    heard = unreadable(daemon)
    with as_user(ALICE.pw_uid):
        heard += refusals(daemon)
    ids = failing(daemon, proxy)
    odd_one = submit(daemon, hold=True)
    with as_user(ALICE.pw_uid):
        shown = [Client(str(daemon.socket)).show(i) for i in ids]
    assert VALUE not in "\n".join(heard)
    assert all(s.spec is not None and s.spec.environment == SECRET for s in shown), "his own"
    assert any("TOKEN=***" in (s.job.message or "") for s in shown), "Docker quoted it"
    daemon.stop()
    daemon.config.write_text(CONFIG.replace("launcher/*", "other/*"))
    db = sqlite3.connect(daemon.state / "launcher.db")
    odd = "json_set(spec, '$.environment.TOKEN', json_array(?))"
    db.execute(f"UPDATE jobs SET spec = {odd} WHERE id = ?", (VALUE, odd_one))
    db.commit()
    db.close()
    daemon.start()
    daemon.client.release(ids[-1])
    daemon.client.release(odd_one)
    assert "(rule image-allowed)" in (daemon.client.wait(ids[-1], timeout=20).message or "")
    assert "cannot be read" in (daemon.client.wait(odd_one, timeout=20).message or "")
    told = answers_to_others(daemon, ids)
    assert VALUE not in told
    assert json.dumps({"TOKEN": "***"}, separators=(",", ":")) in told, "an admin sees the name"
    daemon.stop()
    assert VALUE not in daemon.log.read_text()
    assert places_in_the_database(daemon) == {"jobs.spec"}
    others = [f for f in daemon.state.rglob("*") if f.is_file() and "launcher.db" not in f.name]
    assert VALUE.encode() not in b"".join(f.read_bytes() for f in others)
