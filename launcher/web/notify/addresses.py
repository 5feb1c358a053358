"""Where webhooks may go: the rule for addresses, applied to the one that is connected to.

Names and redirects lead anywhere, and a name may mean another address a moment later. So the rule
is asked with the address of each connection, right before it is made. Without it a user could have
this process talk to services that trust the machine or its network.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from typing import Any

from launcher.config.notify import Network, NotifyTable, networks_of

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA = tuple(
    ipaddress.ip_network(text)
    for text in ("169.254.0.0/16", "168.63.129.16/32", "100.100.100.200/32", "fd00:ec2::254/128")
)
"""Metadata services of clouds (AWS, GCP, Azure, Alibaba); credentials are read there."""
_SPECIAL = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
        "::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20",
        "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
    )
)  # fmt: skip
"""IANA's special-purpose registries, and multicast; Python's own list differs by its version."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class AddressRefused(OSError):
    """A webhook may not go to this address."""


class AddressRule:
    """Decides which addresses the webhooks of one configuration may go to."""

    def __init__(self, table: NotifyTable) -> None:
        self._private = table.allow_private
        self._networks: tuple[Network, ...] = networks_of(table.allow)
        self._hosts = frozenset(table.allow)

    def refusal(self, host: str, address: Address) -> str | None:
        """Return why a host's address may not be used; None if it may be."""
        if host.lower().rstrip(".") in self._hosts:
            return None
        meant = list(_meant(address))
        if all(_within(each, self._networks) for each in meant):
            return None
        if any(_within(each, _METADATA) for each in meant):
            return "its address may be the metadata service of a cloud"
        if self._private:
            return None
        if any(_within(each, _SPECIAL) for each in meant):
            return "its address is not a public one"
        if _is_own(address):
            return "its address is this machine's"
        return None

    def connecting(self, host: str, info: Any) -> socket.socket:
        """Return the socket for an address of ``getaddrinfo``; raises ``AddressRefused``."""
        family, kind, protocol, _, place = info
        why = self.refusal(host, ipaddress.ip_address(str(place[0]).partition("%")[0]))
        if why is not None:
            raise AddressRefused(f"{why} ([notify] allow)")
        return socket.socket(family, kind, protocol)


def _meant(address: Address) -> Iterator[Address]:
    """Yield an address and those of IPv4 in it: mapped, compatible, NAT64, 6to4, Teredo."""
    if isinstance(address, ipaddress.IPv4Address):
        yield address
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
        return
    if address in _NAT64:
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return
    yield address
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo


def _within(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks if network.version == address.version)


def _is_own(address: Address) -> bool:
    """Whether an address is this machine's: then it is also the source of what is sent there.

    Connecting a datagram socket sends nothing (connect(2), udp(7)).
    """
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as probe:
        try:
            probe.connect((str(address), 9))
            return bool(ipaddress.ip_address(probe.getsockname()[0]) == address)
        except OSError:
            return False  # without a route nothing can be sent there
