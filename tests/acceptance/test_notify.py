"""Notifications of real jobs: a real daemon, `launch web`, a receiver, a stub of sendmail."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher import Client
from launcher.errors import NotAllowed, UserError
from launcher.spec.notify import NotifyTarget
from launcher.wire import ArrayRequest, GpuRequest, JobSpec
from tests.conftest import MakeDaemon
from tests.support.daemon import BUSYBOX, CONFIG, DaemonProcess, as_user
from tests.support.receiver import Receiver, receiver, silent
from tests.support.user import OrdinaryUser
from tests.support.wait import wait_until
from tests.support.web import WebProcess

NO_GPU = GpuRequest(kind="none")
PER_MINUTE = 5


@pytest.fixture
def user() -> Iterator[OrdinaryUser]:
    made = OrdinaryUser("nobody")
    yield made
    made.close()


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


@pytest.fixture
def mails(user: OrdinaryUser) -> Path:
    """A directory with a sendmail that puts each mail into a file of its own there."""
    program = user.home / "sendmail"
    program.write_text(f"#!/bin/sh\nexec cat > {user.home}/mail.$$\n")
    program.chmod(0o755)
    return user.home


@pytest.fixture
def daemon(make_daemon: MakeDaemon, user: OrdinaryUser, mails: Path) -> DaemonProcess:
    config = (
        f'{CONFIG}[users]\nobserver = "{user.name}"\n[notify]\nhttp = true\n'
        f'allow = ["127.0.0.1"]\nper_minute = {PER_MINUTE}\n'
        f'mail_server = ""\nsendmail = "{mails}/sendmail"\n'
    )
    return make_daemon(config=config).start()


@pytest.fixture
def web(daemon: DaemonProcess, user: OrdinaryUser) -> Iterator[WebProcess]:
    made = WebProcess(daemon, user)
    yield made
    made.close()


def hook(there: Receiver, *on: str, path: str = "/mine") -> NotifyTarget:
    return NotifyTarget(webhook=there.url + path, on=on or ("end",))


def test_the_end_of_a_job_is_sent_once_as_the_document_of_its_event(
    daemon: DaemonProcess, web: WebProcess, there: Receiver
) -> None:
    job = daemon.submit("sh", "-c", "exit 3", gpus=NO_GPU, notify=(hook(there, "failure"),))
    fine = daemon.submit("true", gpus=NO_GPU, notify=(hook(there, "failure"),))
    daemon.done(job)
    daemon.done(fine)
    last = daemon.submit("true", gpus=NO_GPU, notify=(hook(there, "start", "end"),))
    daemon.done(last)
    wait_until(lambda: len(there.received) == 3)
    document = there.received[0].document
    (event,) = (
        each
        for each in daemon.client.events(0).events
        if each.type == "job.ended" and each.job is not None and each.job.id == job.id
    )
    title = document.pop("title")
    assert document == json.loads(json.dumps(dataclasses.asdict(event)))
    assert title == f"job {job.id} (test): FAILED"
    assert there.received[0].headers["x-message"] == "{{.text}}"
    assert [each.document["type"] for each in there.received] == [
        "job.ended", "job.started", "job.ended",
    ]  # fmt: skip
    assert daemon.client.show(job.id).not_sent == []


def test_a_failure_is_told_to_the_owner_without_the_url_s_secret(
    daemon: DaemonProcess, web: WebProcess, there: Receiver
) -> None:
    there.status = 404
    job = daemon.submit("true", gpus=NO_GPU, notify=(hook(there, path="/secret"),))
    (failure,) = wait_until(lambda: daemon.client.show(job.id).not_sent)
    assert (failure.job, failure.detail) == (job.id, "HTTP status 404")
    assert failure.target == f"{there.url}/…"
    said = daemon.cli("show", str(job.id)).stdout
    assert f"notification ({there.url}/…) failed: HTTP status 404" in said
    assert "404" in daemon.cli("notify").stdout
    for text in (web.log.read_text(), daemon.log.read_text()):
        assert "secret" not in text
    assert len(there.received) == 1


def test_restarts_of_both_lose_nothing_and_repeat_nothing(
    daemon: DaemonProcess, web: WebProcess, user: OrdinaryUser, there: Receiver
) -> None:
    targets = (hook(there),)
    first = daemon.submit("true", gpus=NO_GPU, notify=targets)
    wait_until(lambda: len(there.received) == 1)
    assert web.stop() == 0
    second = daemon.submit("true", gpus=NO_GPU, notify=targets)
    daemon.done(second)
    daemon.kill()
    again = WebProcess(daemon, user)
    try:
        daemon.start()
        wait_until(lambda: len(there.received) == 2)
        os.killpg(again.process.pid, signal.SIGKILL)
        again.process.wait()
    finally:
        again.close()
    third = daemon.submit("true", gpus=NO_GPU, notify=targets)
    daemon.done(third)
    last = WebProcess(daemon, user)
    try:
        wait_until(lambda: len(there.received) >= 3)
        fourth = daemon.submit("true", gpus=NO_GPU, notify=targets)
        wait_until(lambda: len(there.received) >= 4)
    finally:
        last.close()
    ids = Counter(each.document["job"]["id"] for each in there.received)
    assert ids.keys() == {first.id, second.id, third.id, fourth.id}
    assert ids[first.id] == ids[third.id] == ids[fourth.id] == 1
    assert ids[second.id] <= 2, "it may be repeated if the crash came before its end was recorded"


def test_an_array_is_told_of_once_at_its_end(
    daemon: DaemonProcess, web: WebProcess, there: Receiver
) -> None:
    array = ArrayRequest(indices=[0, 1, 2])
    spec = JobSpec("many", BUSYBOX, NO_GPU, command=("false",), array=array)
    daemon.client.submit([dataclasses.replace(spec, notify=(hook(there, "failure"),))])
    wait_until(lambda: there.received, timeout=30)
    later = daemon.submit("true", gpus=NO_GPU, notify=(hook(there),))
    wait_until(lambda: len(there.received) == 2)
    ended = there.received[0].document
    assert (ended["type"], ended["array"]["ends"]) == ("array.ended", {"FAILED": 3})
    assert there.received[1].document["job"]["id"] == later.id


def test_the_ends_of_ten_thousand_elements_are_a_few_notifications_and_a_sum(
    daemon: DaemonProcess, web: WebProcess, there: Receiver, user: OrdinaryUser
) -> None:
    many = 10_000
    array = ArrayRequest(indices=list(range(many)))
    targets = (hook(there, "end", "elements"),)
    spec = JobSpec("many", BUSYBOX, NO_GPU, hold=True, array=array, notify=targets)
    first = daemon.client.submit([spec])[0]
    assert first.array is not None
    daemon.cli("cancel", str(first.array["id"])).check_returncode()
    outbox = user.home / ".local/state/launcher/web/outbox.jsonl"

    def summed_up() -> int:
        lines = [json.loads(line) for line in outbox.read_text().splitlines()]
        return max((each["more"] for line in lines for each in line.get("put", ())), default=0)

    ends = many + 1  # and that of the array
    wait_until(lambda: summed_up() == ends - PER_MINUTE, timeout=60)
    wait_until(lambda: len(there.received) == PER_MINUTE)
    assert web.get("/healthz")[0] == 200


def test_a_user_s_own_targets_are_told_of_all_jobs_but_those_with_their_own(
    daemon: DaemonProcess, web: WebProcess, there: Receiver, mails: Path
) -> None:
    assert daemon.cli("notify", "test").returncode == 2
    said = daemon.cli("notify", "set", "mail", f"webhook={there.url}/mine,on=failure")
    assert "mail to me (end)" in said.stdout
    daemon.cli("notify", "test").check_returncode()
    wait_until(lambda: there.texts() == ["notify.test: notifications of root work"])
    wait_until(lambda: len(list(mails.glob("mail.*"))) == 1)
    none = daemon.submit("true", gpus=NO_GPU, notify=())
    daemon.done(none)
    job = daemon.submit("true", gpus=NO_GPU)
    daemon.done(job)
    wait_until(lambda: len(list(mails.glob("mail.*"))) == 2)
    mail = max(mails.glob("mail.*"), key=lambda each: each.stat().st_mtime_ns).read_text()
    assert "To: root@localhost\n" in mail
    assert f"Subject: job {job.id} (test): COMPLETED\n" in mail
    assert daemon.cli("notify", "clear").stdout.strip() == "none"


def test_targets_are_for_the_observer_and_the_owner_alone(
    daemon: DaemonProcess, user: OrdinaryUser, there: Receiver
) -> None:
    job = daemon.submit("true", gpus=NO_GPU, notify=(hook(there, path="/secret"),))
    daemon.done(job)
    games = OrdinaryUser("games")
    try:
        for role in (None, "observer"):
            with as_user(games.uid):
                client = Client(str(daemon.socket), role=role)
                with pytest.raises(NotAllowed, match=r"is not the user of|observer"):
                    client.notifications(0)
                with pytest.raises(NotAllowed):
                    client.report_notifications([])
                assert client.show(job.id).spec is None
        with as_user(games.uid):
            own = Client(str(daemon.socket)).submit(
                [JobSpec("mine", BUSYBOX, NO_GPU, notify=(hook(there, path="/secret"),))]
            )
        shown = daemon.client.show(own[0].id).spec
        assert shown is not None
        assert shown.notify == (NotifyTarget(webhook=f"{there.url}/…"),), "an admin sees no path"
    finally:
        games.close()
    with as_user(user.uid):
        observer = Client(str(daemon.socket))
        assert observer.show(job.id).spec is None
        (one,) = observer.notifications(0).notifications[:1]
        assert one.targets == [hook(there, path="/secret")]
        with pytest.raises(NotAllowed):
            observer.notify()


def test_what_is_not_allowed_is_refused_at_the_submit(daemon: DaemonProcess) -> None:
    for target, why in (
        (NotifyTarget(mail="bob@example.org"), r"\[notify\] mail_domains"),
        (NotifyTarget(webhook="ftp://example.org"), "https://"),
        (NotifyTarget(webhook="https://a:b@example.org"), "password"),
        (NotifyTarget(webhook="https://example.org/", on=("never",)), "'never' is not known"),
        (NotifyTarget(), "either `webhook` or `mail`"),
    ):
        with pytest.raises(UserError, match=why):
            daemon.submit("true", gpus=NO_GPU, notify=(target,))
    with pytest.raises(UserError, match="notify"):
        daemon.submit("true", gpus=NO_GPU, notify=(NotifyTarget(mail="me"),) * 5)


def test_a_receiver_that_hangs_delays_neither_jobs_nor_other_users(
    daemon: DaemonProcess, web: WebProcess, there: Receiver, mails: Path
) -> None:
    there.answers["/hangs"] = silent(there)
    job = daemon.submit(
        "true", gpus=NO_GPU, notify=(hook(there, path="/hangs"), NotifyTarget(mail="me"))
    )
    assert daemon.done(job).outcome == "COMPLETED"
    wait_until(lambda: list(mails.glob("mail.*")))
    assert daemon.client.show(job.id).not_sent == []
