"""Which addresses callbacks may go to: public ones, and what `callbacks_allow` names. Pure.

An address that carries another (IPv4-mapped, NAT64, 6to4, Teredo) is judged by both.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Written out, because what the standard library calls private differs between its releases.
_FORBIDDEN: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("a loopback address", ("127.0.0.0/8", "::1/128")),
    ("a private address", ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10")),
    ("a link-local address, where clouds keep their metadata", ("169.254.0.0/16", "fe80::/10")),
    ("a cloud's metadata address", ("168.63.129.16/32",)),
    ("a carrier-grade NAT address", ("100.64.0.0/10",)),
    ("a multicast address", ("224.0.0.0/4", "ff00::/8")),
    ("an unspecified address", ("0.0.0.0/8", "::/128")),
    (
        "a reserved address",
        (
            "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
            "240.0.0.0/4", "::/96", "64:ff9b:1::/48", "100::/64", "2001:db8::/32", "3fff::/20", "5f00::/16",
        ),
    ),
)  # fmt: skip
_NETWORKS: Final = tuple((ipaddress.ip_network(text), words) for words, texts in _FORBIDDEN for text in texts)
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """The networks of `callbacks_allow`. Raises ValueError."""
    return tuple(ipaddress.ip_network(text) for text in texts)


def refusal(text: str, allowed: Sequence[Network]) -> str:
    """Why callbacks may not go to this address, as `a private address`; empty when they may."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return "no address"
    for one in _carried(address):
        if any(one in network for network in allowed):
            continue
        for network, words in _NETWORKS:
            if one in network:
                return words
    return ""


def _carried(address: Address) -> Iterator[Address]:
    if isinstance(address, ipaddress.IPv4Address):
        yield address
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
        return
    yield address
    if address in _NAT64:
        yield ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
