"""One webhook to a real receiver on loopback, and to receivers that misbehave."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from launcher.config.notify import NotifyTable
from launcher.web.notify import bounds, webhook
from launcher.web.notify.deliveries import NotSent
from launcher.web.notify.webhook import WebhookSender
from tests.support.receiver import Receiver, endless, receiver, redirect, silent

OPEN = NotifyTable(http=True, allow=("127.0.0.1",))
HEADERS = {"User-Agent": "launcher/test"}


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


def send(url: str, table: NotifyTable = OPEN) -> None:
    asyncio.run(WebhookSender(table).send(url, b"{}", HEADERS))


def refused(url: str, table: NotifyTable = OPEN) -> NotSent:
    with pytest.raises(NotSent) as raised:
        send(url, table)
    return raised.value


def test_a_webhook_gets_the_body_and_the_headers_and_nothing_of_this_machine(
    there: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    send(f"{there.url}/mine?key=1")
    (one,) = there.received
    assert (one.path, one.body) == ("/mine?key=1", b"{}")
    assert one.headers["user-agent"] == "launcher/test"
    assert not {"authorization", "cookie", "proxy-authorization"} & one.headers.keys()


def test_an_address_that_is_not_allowed_is_not_connected_to(there: Receiver) -> None:
    for host in ("127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.1", "localhost."):
        failed = refused(f"http://{host}:{there.port}/", NotifyTable(http=True))
        assert "address" in failed.why or failed.why == "its URL is not valid"
    assert there.received == []


def test_plain_http_is_refused_unless_it_is_allowed(there: Receiver) -> None:
    failed = refused(there.url, NotifyTable(allow=("127.0.0.1",)))
    assert "https://" in failed.why
    assert there.received == []


def test_a_redirect_is_followed_and_its_address_checked_anew(there: Receiver) -> None:
    there.answers["/away"] = redirect("/here")
    send(f"{there.url}/away")
    assert [each.path for each in there.received] == ["/away", "/here"]
    assert there.received[1].body == b"{}"
    there.answers["/in"] = redirect(f"http://127.0.0.2:{there.port}/secret")
    failed = refused(f"{there.url}/in")
    assert "address" in failed.why
    there.answers["/file"] = redirect("file:///etc/passwd")
    assert "invalid URL" in refused(f"{there.url}/file").why
    assert [each.path for each in there.received][2:] == ["/in", "/file"]


def test_a_receiver_that_redirects_without_end_is_given_up(there: Receiver) -> None:
    there.answers["/loop"] = redirect("/loop", 302)
    failed = refused(f"{there.url}/loop")
    assert (failed.why, failed.again) == ("more than 3 redirects", False)
    assert len(there.received) == 1 + bounds.MOST_REDIRECTS


def test_a_name_that_means_another_address_at_the_connection_is_refused(
    there: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["8.8.8.8", "127.0.0.1"])
    real = socket.getaddrinfo

    def rebinding(host: Any, *rest: Any, **more: Any) -> Any:
        return real(next(answers) if host == "rebind.example.org" else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    socket.getaddrinfo("rebind.example.org", there.port)  # what a check before would have seen
    url = f"http://rebind.example.org:{there.port}/"
    failed = refused(url, NotifyTable(http=True))
    assert ("not a public one" in failed.why, failed.again) == (True, False)
    assert there.received == []


@pytest.mark.parametrize(
    ("status", "again"), [(404, False), (410, False), (500, True), (429, True)]
)
def test_a_refusal_is_final_and_an_overload_is_tried_again(
    there: Receiver, status: int, again: bool
) -> None:
    there.status = status
    failed = refused(there.url)
    assert (failed.why, failed.again) == (f"HTTP status {status}", again)


def test_a_receiver_that_answers_without_end_is_left_after_the_status(there: Receiver) -> None:
    there.answers["/"] = endless(there)
    send(f"{there.url}/")


def test_a_receiver_that_hangs_is_left_after_a_while(
    there: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "WEBHOOK_SECONDS", 0.2)
    there.answers["/"] = silent(there)
    failed = refused(f"{there.url}/")
    assert (failed.why, failed.again) == ("no answer within 0.2 s", True)


def test_a_port_without_a_receiver_is_tried_again_without_its_url_in_the_error() -> None:
    with receiver() as gone:
        url = f"{gone.url}/secret"
    failed = refused(url)
    assert failed.again
    assert "secret" not in failed.why


def test_a_receiver_without_tls_is_told_as_that(there: Receiver) -> None:
    failed = refused(f"https://127.0.0.1:{there.port}/")
    assert failed.again
    assert "TLS" in failed.why


def test_it_never_takes_more_than_its_time() -> None:
    assert webhook._TIMEOUT.total == bounds.WEBHOOK_SECONDS == 10
    assert webhook._TIMEOUT.sock_connect == bounds.CONNECT_SECONDS == 5
