"""Sends one mail: by the machine's mail server, or where none answers by the sendmail program."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
from email.message import EmailMessage
from email.utils import format_datetime, localtime, make_msgid

from launcher import __version__
from launcher.config.notify import NotifyTable
from launcher.spec.notify import ME, check_mail, mailbox_of
from launcher.web.notify import bounds
from launcher.web.notify.deliveries import NotSent
from launcher.web.notify.mail_server import MailServer, NoServer

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
MOST_SUBJECT = 200
ARGUMENTS = ("-i", "-t")
"""A lone dot ends nothing; the recipients are those of the headers (sendmail(8))."""


class MailSender:
    """Sends mails by the rules of ``[notify]``."""

    def __init__(self, table: NotifyTable) -> None:
        self._table = table
        self._server = MailServer(table.mail_server) if table.mail_server else None

    async def send(self, address: str, user: str, subject: str, text: str) -> None:
        """Send a mail to an address that a user named; raises ``NotSent``."""
        if (why := self._table.refusal(None, address)) is not None:
            raise NotSent(why, again=False)
        try:
            to = mailbox_of(user) if address == ME else check_mail(address)
            message = mail_message(self._table.mail_from, to, subject, text)
        except ValueError as error:
            raise NotSent(str(error), again=False) from None
        if self._server is None:
            await self._run(message.as_bytes())
            return
        try:
            await self._server.send(message)
        except NoServer as nobody:
            try:
                await self._run(message.as_bytes())
            except NotSent as failed:
                raise NotSent(f"{nobody}; {failed.why}", again=True) from None

    async def _run(self, message: bytes) -> None:
        program = self._table.sendmail
        said = os.memfd_create("stderr", os.MFD_CLOEXEC)  # a pipe may stay open behind it
        try:
            async with asyncio.timeout(bounds.MAIL_SECONDS):
                status = await _ended(program, message, said)
            first = os.pread(said, bounds.MOST_STDERR, 0).decode(errors="replace")
        except OSError as error:
            if isinstance(error, TimeoutError):
                why = f"{program} did not end within {bounds.MAIL_SECONDS:g} s"
                raise NotSent(why, again=True) from None
            why = f"cannot run {program}: {error.strerror} ([notify] sendmail)"
            raise NotSent(why, again=False) from None
        finally:
            os.close(said)
        if status != 0:
            line = _line(first.strip().partition("\n")[0])[:150]
            why = f"{program} failed with status {status}{': ' * bool(line)}{line}"
            raise NotSent(why, again=status == os.EX_TEMPFAIL)


async def _ended(program: str, message: bytes, stderr: int) -> int:
    """Give a program the message; return its exit status once it has ended."""
    process = await asyncio.create_subprocess_exec(
        program,
        *ARGUMENTS,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=stderr,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        start_new_session=True,
    )
    assert process.stdin is not None
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(message)
            await process.stdin.drain()
        process.stdin.close()
        return await process.wait()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def mail_message(sender: str, to: str, subject: str, text: str) -> EmailMessage:
    """Return a mail of plain text; nothing in the subject can become another header."""
    message = EmailMessage()
    host = _line(socket.gethostname()) or "localhost"
    message["From"] = sender or f"launcher@{host}"
    message["To"] = to
    message["Subject"] = _line(subject)[:MOST_SUBJECT]
    message["Date"] = format_datetime(localtime())
    message["Message-ID"] = make_msgid(domain=host)
    message["Auto-Submitted"] = "auto-generated"  # no vacation replies (RFC 3834)
    message["X-Mailer"] = f"launcher/{__version__}"
    message.set_content(text.encode(errors="replace").decode() + "\n")
    return message


def _line(text: str) -> str:
    """Return a text as one line, without what a header cannot hold."""
    return _CONTROLS.sub(" ", text.encode(errors="replace").decode()).strip()
