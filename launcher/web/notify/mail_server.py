"""Hands one mail to a mail server over the network (RFC 5321), as the machine's own often is."""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
import socket
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from email.utils import parseaddr

from launcher.config.notify import server_of
from launcher.web.notify import bounds
from launcher.web.notify.deliveries import NotSent

GREETING = 220


class NoServer(Exception):
    """Nobody listens there; nothing was sent."""


class MailServer:
    """The server at ``address``, HOST or HOST:PORT. The library blocks: it has its own threads."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._threads = ThreadPoolExecutor(bounds.MOST_AT_ONCE, "mail")

    async def send(self, message: EmailMessage) -> None:
        """Hand over a mail; raises ``NoServer``, or ``NotSent``."""
        client = smtplib.SMTP(
            local_hostname=socket.gethostname(), timeout=bounds.MAIL_REPLY_SECONDS
        )
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(bounds.MAIL_SECONDS):
                await loop.run_in_executor(self._threads, _hand_over, client, self.address, message)
        except TimeoutError:
            why = f"{self.address} did not take it within {bounds.MAIL_SECONDS:g} s"
            raise NotSent(why, again=True) from None
        finally:
            client.close()  # a thread that still waits for a reply gets an error


def _hand_over(client: smtplib.SMTP, address: str, message: EmailMessage) -> None:
    """Talk to the server; the blocking half of ``send``."""
    try:
        code, text = client.connect(*server_of(address))
    except OSError as error:
        raise NoServer(f"no mail server at {address} ({_why(error)})") from error
    try:
        if code != GREETING:
            raise smtplib.SMTPConnectError(code, text)
        client.send_message(message, from_addr=parseaddr(message["From"])[1])
    except OSError as error:  # smtplib's errors are among these
        raise NotSent(f"{address}: {_why(error)}", again=_may_pass(error)) from error
    with contextlib.suppress(OSError):  # it has the mail
        client.quit()


def _code(error: OSError) -> int | None:
    """Return the reply code of a refusal (RFC 5321, section 4.2), None without a reply."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return min(code for code, _ in error.recipients.values())
    return error.smtp_code if isinstance(error, smtplib.SMTPResponseException) else None


def _may_pass(error: OSError) -> bool:
    code = _code(error)
    return code is None or code < 500


def _why(error: OSError) -> str:
    text: bytes | str
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        text = min(error.recipients.values())[1]
    elif isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error
    else:
        return error.strerror or str(error) or "it did not answer"
    line = text.decode(errors="replace") if isinstance(text, bytes) else text
    printable = "".join(c if c.isprintable() else " " for c in line)
    return f"{_code(error)} {printable[: bounds.MOST_REPLY]}"
