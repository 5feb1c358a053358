"""Mails by a stub of sendmail: what it gets, and how its failures are told."""

from __future__ import annotations

import asyncio
import email
import email.policy
import os
import signal
from pathlib import Path

import pytest

from launcher.config.notify import NotifyTable
from launcher.web.notify import bounds
from launcher.web.notify.deliveries import NotSent
from launcher.web.notify.mail import MailSender, mail_message

EVIL = "done\r\nBcc: victim@example.org\n\nbody\x00\x1b[31m\u2028x"


def stub(place: Path, script: str) -> str:
    program = place / "sendmail"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(program)


def table(place: Path, script: str = "", **keys: object) -> NotifyTable:
    script = script or f'echo "$@" > {place}/args; cat > {place}/mail'
    keys = {"mail_server": ""} | keys
    return NotifyTable(sendmail=stub(place, script), **keys)  # type: ignore[arg-type]


def send(rules: NotifyTable, to: str = "me", user: str = "alice", subject: str = "s") -> None:
    asyncio.run(MailSender(rules).send(to, user, subject, "text"))


def refused(rules: NotifyTable, to: str = "me", user: str = "alice") -> NotSent:
    with pytest.raises(NotSent) as raised:
        send(rules, to, user)
    return raised.value


def test_a_mail_goes_to_the_user_s_own_mailbox(tmp_path: Path) -> None:
    send(table(tmp_path, mail_from="queue@example.org"), subject="job 12 (train): FAILED")
    assert (tmp_path / "args").read_text() == "-i -t\n"
    message = email.message_from_bytes(
        (tmp_path / "mail").read_bytes(), policy=email.policy.default
    )
    assert (message["To"], message["From"]) == ("alice@localhost", "queue@example.org")
    assert message["Subject"] == "job 12 (train): FAILED"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content() == "text\n"


def test_nothing_in_a_subject_becomes_a_header_or_a_body(tmp_path: Path) -> None:
    send(table(tmp_path), subject=EVIL)
    message = email.message_from_bytes(
        (tmp_path / "mail").read_bytes(), policy=email.policy.default
    )
    assert message["Bcc"] is None
    assert message.get_content() == "text\n"
    assert mail_message("", "a@localhost", "\ud800" * 300, "\ud800").as_bytes().isascii()


@pytest.mark.parametrize(
    "user", ["a\nBcc: b@c", "|/bin/sh", "/etc/passwd", "-t", "a b", "a,b", "DOM\\alice", '"x"', ""]
)
def test_a_user_name_that_is_no_mailbox_gets_no_mail(tmp_path: Path, user: str) -> None:
    failed = refused(table(tmp_path), user=user)
    assert ("cannot be a mail address" in failed.why, failed.again) == (True, False)
    assert not (tmp_path / "mail").exists()


def test_other_addresses_need_a_domain_that_the_admin_allows(tmp_path: Path) -> None:
    rules = table(tmp_path, mail_domains=("Example.org",))
    send(rules, "bob@example.ORG")
    for address in ("bob@evil.org", "bob@example.org.evil.org", "bob", "bob@x.example.org"):
        assert "[notify] mail_domains" in refused(rules, address).why
    for address in ("a@b@example.org", "a,b@example.org", "|x@example.org"):
        assert refused(rules, address).again is False


def test_a_missing_program_is_told_and_final(tmp_path: Path) -> None:
    failed = refused(NotifyTable(mail_server="", sendmail=str(tmp_path / "none")))
    assert (
        failed.why == f"cannot run {tmp_path}/none: No such file or directory ([notify] sendmail)"
    )
    assert not failed.again


@pytest.mark.parametrize(("status", "again"), [(75, True), (67, False)])
def test_a_failure_is_told_with_the_program_s_own_words(
    tmp_path: Path, status: int, again: bool
) -> None:
    failed = refused(table(tmp_path, f"echo 'queue is\tfull' >&2; exit {status}"))
    assert failed.why.endswith(f"failed with status {status}: queue is full")
    assert failed.again is again


def test_a_program_that_hangs_is_killed_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "MAIL_SECONDS", 0.2)
    failed = refused(table(tmp_path, "exec cat /dev/zero > /dev/null"))
    assert ("did not end" in failed.why, failed.again) == (True, True)


def test_a_program_that_leaves_a_process_behind_has_ended(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    send(table(tmp_path, f"cat > /dev/null; cat /dev/zero > /dev/null & echo $! > {pid}"))
    os.kill(int(pid.read_text()), signal.SIGKILL)


def test_mails_can_be_switched_off(tmp_path: Path) -> None:
    assert "switched off" in refused(table(tmp_path, mail=False)).why
