"""Sends one webhook: a POST of JSON, with a rule for each address it connects to."""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import Mapping

import aiohttp
from aiohttp.connector import AddrInfoType
from yarl import URL

from launcher.config.notify import NotifyTable
from launcher.spec.notify import check_url
from launcher.web.notify import bounds
from launcher.web.notify.addresses import AddressRefused, AddressRule
from launcher.web.notify.deliveries import NotSent

_REDIRECTS = frozenset({301, 302, 307, 308})
"""Followed with the same request. 303 says that the receiver took it (RFC 9110, 15.4.4)."""
_LATER = frozenset({408, 425, 429})
_TIMEOUT = aiohttp.ClientTimeout(
    total=bounds.WEBHOOK_SECONDS,
    connect=bounds.CONNECT_SECONDS,
    sock_connect=bounds.CONNECT_SECONDS,
)


class WebhookSender:
    """Sends webhooks by the rules of ``[notify]``; nothing of a reply but its status is used."""

    def __init__(self, table: NotifyTable) -> None:
        self._table = table
        self._rule = AddressRule(table)

    async def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Send a body; raises ``NotSent``."""
        try:
            async with asyncio.timeout(bounds.WEBHOOK_SECONDS):
                for _ in range(1 + bounds.MOST_REDIRECTS):
                    target = self._checked(url)
                    status, location = await self._post(target, body, headers)
                    if status not in _REDIRECTS or location is None:
                        return _judge(status)
                    url = str(target.join(URL(location, encoded=True)))
        except TimeoutError:
            why = f"no answer within {bounds.WEBHOOK_SECONDS:g} s"
            raise NotSent(why, again=True) from None
        except ValueError:  # of the address in a redirect
            raise NotSent("the receiver redirects to an invalid URL", again=False) from None
        raise NotSent(f"more than {bounds.MOST_REDIRECTS} redirects", again=False)

    def _checked(self, url: str) -> URL:
        if (why := self._table.refusal(url, None)) is not None:
            raise NotSent(why, again=False)
        return URL(check_url(url), encoded=True)

    async def _post(
        self, url: URL, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, str | None]:
        """Return the status of the reply, and where it leads to."""
        refused: list[str] = []
        connector = aiohttp.TCPConnector(
            use_dns_cache=False,
            force_close=True,
            limit=1,
            socket_factory=functools.partial(self._connecting, url.host or "", refused),
        )
        try:
            async with (
                aiohttp.ClientSession(
                    connector=connector,
                    cookie_jar=aiohttp.DummyCookieJar(),
                    timeout=_TIMEOUT,
                    auto_decompress=False,
                    trust_env=False,  # no proxy, and no credentials of ~/.netrc
                ) as session,
                session.post(url, data=body, headers=headers, allow_redirects=False) as reply,
            ):
                reply.close()  # the body is not read
                return reply.status, reply.headers.get("Location")
        except aiohttp.InvalidURL:
            raise NotSent("its URL is not valid", again=False) from None
        except aiohttp.ClientConnectorError as error:
            if refused:
                raise NotSent(refused[0], again=False) from None
            raise NotSent(_why(error), again=True) from None
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise NotSent(_why(error), again=True) from None

    def _connecting(self, host: str, refused: list[str], info: AddrInfoType) -> socket.socket:
        try:
            return self._rule.connecting(host, info)
        except AddressRefused as error:
            refused.append(str(error))
            raise


def _judge(status: int) -> None:
    """Raise ``NotSent`` unless the status means that the receiver took it."""
    if 200 <= status < 300 or status == 303:
        return
    raise NotSent(f"HTTP status {status}", again=status >= 500 or status in _LATER)


def _why(error: Exception) -> str:
    """Return a sentence without the URL, which may hold a secret."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name has no address"
    if isinstance(error, aiohttp.ClientSSLError):
        return "TLS failed: the certificate is not valid, or the receiver has no TLS"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot connect: {error.strerror[:100]}"
    return f"the connection failed ({type(error).__name__})"
