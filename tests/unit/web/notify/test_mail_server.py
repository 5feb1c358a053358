"""Mails to a real mail server on this machine: what it gets, its refusals, and where none is."""

from __future__ import annotations

import asyncio
import email
import email.policy
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from launcher.config.notify import NotifyTable, server_of
from launcher.web.notify import bounds
from launcher.web.notify.deliveries import NotSent
from launcher.web.notify.mail import MailSender
from tests.unit.web.notify.test_mail import refused, send, stub


class Mailbox:
    """A mail server's handler that keeps what it gets, or refuses it with ``reply``."""

    def __init__(self) -> None:
        self.got: list[Envelope] = []
        self.reply = "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[Any]
    ) -> str:
        if self.reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.reply

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.got.append(envelope)
        return "250 OK"


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def server(mailbox: Mailbox) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    yield f"127.0.0.1:{port}"
    controller.stop()


def test_a_mail_is_handed_to_the_mail_server_and_to_no_program(
    server: str, mailbox: Mailbox, tmp_path: Path
) -> None:
    program = stub(tmp_path, f"touch {tmp_path}/called")
    rules = NotifyTable(mail_server=server, mail_from="queue@example.org", sendmail=program)
    send(rules, subject="job 12: FAILED\r\nBcc: victim@example.org")
    (envelope,) = mailbox.got
    assert (envelope.mail_from, envelope.rcpt_tos) == ("queue@example.org", ["alice@localhost"])
    assert isinstance(envelope.content, bytes)
    message = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert message["Bcc"] is None
    assert message.get_content().strip() == "text"
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize(("reply", "again"), [("451 try later", True), ("550 no such box", False)])
def test_a_refusal_is_told_with_the_server_s_words(
    server: str, mailbox: Mailbox, reply: str, again: bool
) -> None:
    mailbox.reply = reply
    failed = refused(NotifyTable(mail_server=server))
    assert (failed.why, failed.again) == (f"{server}: {reply}", again)


def test_where_no_server_answers_the_program_is_used(tmp_path: Path) -> None:
    rules = NotifyTable(mail_server=nobody(), sendmail=stub(tmp_path, f"cat > {tmp_path}/mail"))
    send(rules)
    assert "alice@localhost" in (tmp_path / "mail").read_text()


def test_neither_a_server_nor_a_program_is_told_and_tried_again(tmp_path: Path) -> None:
    address = nobody()
    failed = refused(NotifyTable(mail_server=address, sendmail=str(tmp_path / "none")))
    assert failed.why.startswith(f"no mail server at {address} (Connection refused); cannot run")
    assert failed.again


@pytest.mark.parametrize("greeting", [b"", b"554 not today\r\n", b"\xff\x00\x1b[31m\r\n"])
def test_a_server_that_says_nothing_or_nonsense_is_tried_again_or_given_up(
    greeting: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bounds, "MAIL_REPLY_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"

        async def play() -> None:
            async def greet() -> None:
                loop = asyncio.get_running_loop()
                connection, _ = await loop.sock_accept(listener)
                await loop.sock_sendall(connection, greeting)
                await loop.sock_recv(connection, 100)
                connection.close()

            listener.setblocking(False)
            greeting_now = asyncio.create_task(greet())
            rules = NotifyTable(mail_server=address, sendmail=str(tmp_path / "none"))
            try:
                await MailSender(rules).send("me", "alice", "s", "text")
            finally:
                await greeting_now

        with pytest.raises(NotSent) as raised:
            asyncio.run(play())
    assert address in raised.value.why
    assert raised.value.why.isprintable()
    assert raised.value.again is (not greeting.startswith(b"554"))


def test_addresses_of_servers_are_read_or_refused() -> None:
    assert server_of("localhost") == ("localhost", 25)
    assert server_of("[::1]:2525") == ("::1", 2525)
    for wrong in ("", "a:0", "a:65536", "smtp://a", "a b", "::1", "a:25:26"):
        with pytest.raises(ValueError, match="not a valid address"):
            server_of(wrong)


def nobody() -> str:
    """Return an address at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"
