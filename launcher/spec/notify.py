"""Who is told of a job: targets of notifications, as job files, flags and the API write them.

The functions raise ``ValueError`` with a sentence for people. No sentence quotes a URL, which may
hold a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from launcher.spec.bounds import STRICT, Most

MOST_TARGETS = 4
"""Of one job, and of a user's own ones."""
MOST_URL = 2048
MOST_ADDRESS = 254
"""Of a mail address, in characters (RFC 5321, section 4.5.3.1.3, without its brackets)."""
END = "end"
WHEN = ("start", END, "failure", "elements")
"""When a target is told. ``elements``: also of each element of an array."""
NONE = "none"
"""The word that means no target, not even those that the user set for all jobs."""
ME = "me"
"""The mail address that means the submitting user's mailbox on this machine."""

# Patterns are compiled when they are first used: few commands need them.
_URL = r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+"
_HOST = r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+"
_LOCAL_PART = r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,63}"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = rf"{_LOCAL_PART}@{_LABEL}(?:\.{_LABEL})*"


@dataclass(frozen=True, slots=True)
class NotifyTarget:
    """One target: a webhook's URL, which may hold a secret, or a mail address (``ME`` or one)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    webhook: Annotated[str, Most(MOST_URL)] | None = field(default=None, repr=False)
    mail: Annotated[str, Most(MOST_ADDRESS)] | None = None
    on: Annotated[tuple[str, ...], Most(len(WHEN))] = (END,)

    @property
    def label(self) -> str:
        """What people read: of a URL its scheme and host alone."""
        if self.webhook is not None:
            return shown_url(self.webhook)
        return f"mail to {self.mail}"


def shown_url(url: str) -> str:
    """Return a URL without what may be secret.

    >>> shown_url("https://hooks.example.org/services/T0/B0/secret")
    'https://hooks.example.org/…'
    """
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0].partition("?")[0].partition("#")[0]
    return f"{scheme[:5]}://{host.rpartition('@')[2]}/…"


def notify_text(targets: Iterable[NotifyTarget] | None) -> str | None:
    """Return targets as people read them: ``mail to me (end, failure)``; None for the default."""
    if targets is None:
        return None
    return ", ".join(f"{each.label} ({', '.join(each.on)})" for each in targets) or NONE


def check_url(url: str) -> str:
    """Return a URL that can be a webhook's: http or https, with a host, without credentials."""
    from urllib.parse import urlsplit  # slow to load

    if not 0 < len(url) <= MOST_URL:
        raise ValueError(f"the URL has {len(url)} characters, 1 to {MOST_URL} can be")
    if not re.fullmatch(_URL, url):
        raise ValueError("the URL has a character that must be written with %, such as %20")
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port != 0
    except ValueError:
        raise ValueError("the URL has no valid host or port") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError("the URL must begin with https:// or http://")
    if not parts.hostname or not re.fullmatch(_HOST, parts.hostname):
        raise ValueError("the URL has no valid host, such as ntfy.example.org")
    if not port_is_valid:
        raise ValueError("the URL has a port that is not a number from 1 to 65535")
    if "@" in parts.netloc:
        raise ValueError("the URL has a user name or password: leave them out")
    return url


def check_mail(address: str) -> str:
    """Return a mail address, or ``ME``."""
    if address != ME and not (len(address) <= MOST_ADDRESS and re.fullmatch(_ADDRESS, address)):
        raise ValueError(
            f"'{address[:80]}' is not a mail address: write me, or one such as alice@example.org"
        )
    return address


def mailbox_of(user: str) -> str:
    """Return the address of a user's mailbox on this machine."""
    if not re.fullmatch(_LOCAL_PART, user):
        raise ValueError(f"the user name {user[:80]!r} cannot be a mail address")
    return f"{user}@localhost"


def check_when(words: Iterable[str]) -> tuple[str, ...]:
    """Return when a target is told, each word once."""
    chosen = tuple(dict.fromkeys(words))
    unknown = next((word for word in chosen if word not in WHEN), None)
    if unknown is not None:
        raise ValueError(f"'{unknown[:40]}' is not known: write {', '.join(WHEN)}")
    if not chosen or chosen == ("elements",):
        raise ValueError("it does not say when: add start, end or failure")
    return chosen


def check_targets(targets: Iterable[NotifyTarget]) -> None:
    """Refuse targets that a client could not have meant."""
    targets = tuple(targets)
    if len(targets) > MOST_TARGETS:
        raise ValueError(f"{len(targets)} targets are more than {MOST_TARGETS}")
    for target in targets:
        if (target.webhook is None) == (target.mail is None):
            raise ValueError("a target has either `webhook` or `mail`")
        if target.webhook is not None:
            check_url(target.webhook)
        if target.mail is not None:
            check_mail(target.mail)
        check_when(target.on)


def parse_flag(text: str) -> NotifyTarget | None:
    """Return the target of ``--notify``; None for ``none``, which stands alone."""
    return None if text == NONE else parse_target(text)


def parse_target(text: str) -> NotifyTarget:
    """Return the target of one word.

    >>> parse_target("mail")
    NotifyTarget(mail='me', on=('end',))
    >>> parse_target("mail=alice@example.org,on=start+failure")
    NotifyTarget(mail='alice@example.org', on=('start', 'failure'))
    """
    what, comma, when = text.rpartition(",on=")
    if not comma:
        what, when = text, END
    on = check_when(when.split("+"))
    kind, _, value = what.partition("=")
    if kind == "mail":
        return NotifyTarget(mail=check_mail(value or ME), on=on)
    if kind == "webhook":
        return NotifyTarget(webhook=check_url(value), on=on)
    if what.startswith(("https://", "http://")):
        return NotifyTarget(webhook=check_url(what), on=on)
    raise ValueError(
        f"'{kind[:40]}' is not a target: write mail, mail=ADDRESS or webhook=URL,"
        " with ,on=start+failure behind it"
    )
