"""The table ``[notify]`` of launcher.toml: where `launch web` may send notifications."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from launcher.spec.notify import ME, check_mail
from launcher.toml_kinds import Names, PositiveInt, ReadBy, names

SENDMAIL = "/usr/sbin/sendmail"
SMTP_PORT = 25
_SERVER = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})(:(?P<port>[0-9]{1,5}))?")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _allowed(value: Any) -> tuple[str, ...]:
    for name in names(value):
        if network_of_name(name) is None and ("/" in name or ":" in name):
            raise ValueError(
                f"{name!r} is not a valid host or network: write chat.example.org or 10.1.2.0/24"
            )
    return tuple(each.lower().rstrip(".") for each in value)


def network_of_name(name: str) -> Network | None:
    """Return the network that an entry of ``allow`` means; None for the name of a host."""
    try:
        return ipaddress.ip_network(name)
    except ValueError:
        return None


def networks_of(allow: Iterable[str]) -> tuple[Network, ...]:
    """Return the networks and addresses among the entries of ``allow``."""
    return tuple(found for name in allow if (found := network_of_name(name)) is not None)


def _program(value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value:
        raise ValueError("it must be an absolute path")
    return value


def server_of(address: str) -> tuple[str, int]:
    """Return host and port of HOST, HOST:PORT or [IPv6]:PORT; raises ``ValueError``."""
    match = _SERVER.fullmatch(address)
    if match is None or not 0 < int(match["port"] or SMTP_PORT) < 65536:
        raise ValueError(f"{address!r} is not a valid address: write localhost:25")
    return match["host"].strip("[]"), int(match["port"] or SMTP_PORT)


def _server(value: Any) -> Any:
    if isinstance(value, str) and value:
        server_of(value)
    return value


def _sender(value: Any) -> Any:
    return check_mail(value) if isinstance(value, str) and value else value


@dataclass(frozen=True, slots=True)
class NotifyTable:
    """The table ``[notify]``: what `launch web` may send to whom about jobs."""

    webhooks: bool = True  #: whether webhooks are sent
    mail: bool = True  #: whether mails are sent
    http: bool = False  #: whether webhooks may have http:// instead of https://
    #: whether webhooks may go to loopback, private and link-local addresses; never to those of a
    #: cloud's metadata, unless allow names them
    allow_private: bool = False
    #: hosts and networks to which webhooks may go in any case: ["10.1.2.0/24", "chat.example.org"]
    allow: Annotated[tuple[str, ...], ReadBy(_allowed)] = ()
    #: domains to which users may have mails sent beside their own mailbox on this machine
    mail_domains: Names = ()
    #: the sender of mails; default: launcher at this machine's name
    mail_from: Annotated[str, ReadBy(_sender)] = ""
    #: the mail server that mails are handed to, without a password; "": none, sendmail alone
    mail_server: Annotated[str, ReadBy(_server)] = "localhost:25"
    #: the program that sends mails where no mail server answers
    sendmail: Annotated[str, ReadBy(_program)] = SENDMAIL
    per_minute: PositiveInt = 20  #: notifications of one user; further ones are summed up

    def refusal(self, webhook: str | None, mail: str | None) -> str | None:
        """Return why a target is not allowed whatever its address is now; None if it may be."""
        if webhook is not None:
            if not self.webhooks:
                return "webhooks are switched off ([notify] webhooks)"
            if webhook.startswith("http://") and not self.http:
                return "a webhook needs https:// ([notify] http)"
            return None
        if not self.mail:
            return "mails are switched off ([notify] mail)"
        domain = (mail or "").rpartition("@")[2].lower()
        if mail != ME and domain not in (each.lower() for each in self.mail_domains):
            return (
                f"mails may go to your own mailbox (me), and not to {domain} "
                "([notify] mail_domains)"
            )
        return None
