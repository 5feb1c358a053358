"""Where webhooks may go: every spelling of an address that is not a public one."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from launcher.config.notify import NotifyTable
from launcher.web.notify.addresses import AddressRefused, AddressRule

PUBLIC = ("8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8")
PRIVATE = (
    "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255",
    "192.168.1.1", "100.64.0.1", "224.0.0.1", "239.1.1.1", "255.255.255.255", "240.0.0.1",
    "192.0.0.8", "198.18.0.1", "::", "::1", "fe80::1", "fc00::1", "fd12::1", "ff02::1",
    "fec0::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b::a01:203", "64:ff9b:1::a01:203", "2002:7f00:1::", "2002:a01:203::1",
    "2001:0:4136:e378:8000:63bf:f5ff:fefe", "2001:db8::1",
)  # fmt: skip
METADATA = (
    "169.254.169.254", "168.63.129.16", "100.100.100.200", "fd00:ec2::254",
    "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::",
)  # fmt: skip


def refusal(address: str, host: str = "hooks.example.org", **keys: object) -> str | None:
    rule = AddressRule(NotifyTable(**keys))  # type: ignore[arg-type]
    return rule.refusal(host, ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_used(address: str) -> None:
    assert refusal(address) is None


@pytest.mark.parametrize("address", [*PRIVATE, *METADATA])
def test_an_address_that_is_not_public_is_refused_however_it_is_embedded(address: str) -> None:
    assert refusal(address) is not None


@pytest.mark.parametrize("address", METADATA)
def test_a_metadata_service_is_refused_also_where_private_addresses_are_allowed(
    address: str,
) -> None:
    assert "metadata" in (refusal(address, allow_private=True) or "")
    assert refusal(address, allow=("hooks.example.org",)) is None


@pytest.mark.parametrize("address", PRIVATE)
def test_an_admin_may_allow_private_addresses(address: str) -> None:
    assert refusal(address, allow_private=True) is None


def test_an_admin_may_allow_one_network_or_one_host() -> None:
    assert refusal("10.1.2.3", allow=("10.1.2.0/24",)) is None
    assert refusal("::ffff:10.1.2.3", allow=("10.1.2.0/24",)) is None
    assert refusal("10.1.3.3", allow=("10.1.2.0/24",)) is not None
    assert refusal("10.1.2.3", "Chat.Example.org.", allow=("chat.example.org",)) is None
    assert refusal("10.1.2.3", "evil.chat.example.org", allow=("chat.example.org",)) is not None


@pytest.mark.parametrize(
    "spelling", ["127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "localhost"]
)
def test_what_the_resolver_makes_of_a_spelling_is_refused(spelling: str) -> None:
    rule = AddressRule(NotifyTable())
    infos = socket.getaddrinfo(spelling, 80, type=socket.SOCK_STREAM)
    assert infos
    for info in infos:
        with pytest.raises(AddressRefused, match=r"\[notify\] allow"):
            rule.connecting(spelling, info)


def test_an_allowed_address_gets_a_socket() -> None:
    rule = AddressRule(NotifyTable(allow_private=True))
    (info,) = socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
    rule.connecting("127.0.0.1", info).close()
