"""Who asked what is on record, with the decision, and without anything that is private."""

from __future__ import annotations

import json
import pwd

import pytest

from launcher.core.policy.policy import VERSION
from launcher.errors import LauncherError, NotAllowed, UserError
from launcher.wire import (
    AuditView,
    EditRequest,
    GpuRequest,
    JobSpec,
    Mount,
    RegistryAuth,
    ReserveRequest,
)
from tests.support.daemon import BUSYBOX, DaemonProcess, as_user
from tests.support.wait import wait_until

ALICE, BOB = (pwd.getpwnam(name) for name in ("games", "news"))
SECRET = "hunter2-do-not-tell"


def held(**fields: object) -> JobSpec:
    fields = {"name": "held", "image": BUSYBOX, "gpus": GpuRequest(kind="none")} | fields
    return JobSpec(hold=True, **fields)  # type: ignore[arg-type]


def recorded(daemon: DaemonProcess, count: int) -> list[AuditView]:
    """Return the lines once there are so many: refusals are gathered for a moment.

    That the tests' image was made everybody's is left out.
    """

    def lines() -> list[AuditView]:
        found = [a for a in daemon.client.audit() if a.route != "POST /v1/images/publish"]
        return found if len(found) >= count else []

    return wait_until(lines, what=f"{count} lines")


def test_every_change_is_on_record_once_with_its_jobs_and_who_asked(daemon: DaemonProcess) -> None:
    client = daemon.client
    with as_user(ALICE.pw_uid):
        jobs = client.submit([held(), held(), held()])
        client.submit([held()], dry_run=True)
        client.edit(jobs[0].id, EditRequest(priority=3))
        client.jobs()
    ids = f"{jobs[0].id}-{jobs[2].id}"
    client.cancel(ids)
    found = recorded(daemon, 3)
    assert [(one.user, one.role, one.route, one.jobs, one.outcome) for one in found] == [
        ("games", "user", "POST /v1/jobs", ids, "ok"),
        ("games", "user", "POST /v1/jobs/{ref}/edit", str(jobs[0].id), "ok"),
        ("root", "admin", "POST /v1/jobs/{ref}/cancel", ids, "ok"),
    ]
    assert found[1].detail == "priority"
    assert {one.policy_version for one in found} == {VERSION}
    assert {one.uid for one in found} == {0, ALICE.pw_uid}


def test_what_was_answered_is_on_record_after_a_crash(daemon: DaemonProcess) -> None:
    (job,) = daemon.client.submit([held()])
    daemon.kill()
    daemon.start()
    (line,) = recorded(daemon, 1)
    assert (line.route, line.jobs, line.outcome) == ("POST /v1/jobs", str(job.id), "ok")


def test_refusals_are_on_record_with_their_kind(daemon: DaemonProcess) -> None:
    with as_user(ALICE.pw_uid):
        (job,) = daemon.client.submit([held()])
    with as_user(BOB.pw_uid):
        for _ in range(3):
            with pytest.raises(NotAllowed):
                daemon.client.cancel(job.id)
        with pytest.raises(NotAllowed):
            list(daemon.client.logs(job.id))
        with pytest.raises(NotAllowed):
            daemon.client.audit()
    found = [one for one in recorded(daemon, 4) if one.user == BOB.pw_name]
    assert {(one.route, one.outcome) for one in found} == {
        ("POST /v1/jobs/{ref}/cancel", "not-allowed"),
        ("GET /v1/jobs/{ref}/logs", "not-allowed"),
        ("GET /v1/audit", "not-allowed"),
    }
    assert all(str(job.id) in one.detail for one in found if "{ref}" in one.route)


def test_nothing_private_is_on_record(daemon: DaemonProcess) -> None:
    asked = [
        held(environment={"TOKEN": SECRET}, command=["sh", "-c", SECRET]),
        held(environment={"NVIDIA_X": SECRET}, command=[SECRET]),
        held(environment={"=": SECRET}),
        held(begin=SECRET),
        held(name=SECRET + " "),
        held(image=f"x {SECRET}"),
        held(volumes=[Mount(source="/", target="/x")], entrypoint=[SECRET]),
    ]
    for uid in (ALICE.pw_uid, 0):
        for one in asked:
            with as_user(uid):
                try:
                    daemon.client.submit([one], {"docker.io": RegistryAuth(password=SECRET)})
                except LauncherError:
                    continue
    wait_until(
        lambda: {"ok", "not-allowed"} <= {one.outcome for one in daemon.client.audit()},
        what="both that were taken and that were refused are on record",
    )
    found = daemon.client.audit()
    assert SECRET not in json.dumps([str(one) for one in found])


def test_admins_read_it_on_the_command_line_and_nobody_else(daemon: DaemonProcess) -> None:
    with as_user(ALICE.pw_uid):
        daemon.client.submit([held()])
    daemon.client.submit([held()])
    shown = daemon.cli("audit", "--user", ALICE.pw_name)
    assert shown.returncode == 0
    heading, line = shown.stdout.splitlines()
    assert heading.split()[:4] == ["AT", "USER", "ROLE", "REQUEST"]
    assert "POST /v1/jobs" in line
    document = json.loads(daemon.cli("audit", "-o", "json", "--since", "1h", "--limit", "1").stdout)
    assert [one["user"] for one in document] == ["root"]
    assert daemon.cli("audit", "--since", "1h", "--limit", "0").returncode == 2


def test_what_an_admin_does_to_the_machine_is_on_record(daemon: DaemonProcess) -> None:
    client = daemon.client
    client.layout.drain("0", "for a look")
    with pytest.raises(UserError):
        client.queue.reserve(
            ReserveRequest(name="x y", start="now", end="later", profile="1g.6gb", user="games")
        )
    client.layout.save()
    client.doctor_fix()
    found = {(one.route, one.outcome, one.detail) for one in recorded(daemon, 4)}
    assert any(r == "POST /v1/slices/{ref}/drain" and "for a look" in d for r, _, d in found)
    assert ("POST /v1/reservations", "bad-request", "") in found
    assert ("POST /v1/layout/save", "ok", "the current layout") in found
    assert ("POST /v1/doctor/fix", "ok", "") in found
