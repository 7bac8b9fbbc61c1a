"""Who is asking: the address that limits are counted by, and whether the request may use the private namespaces.

    socket's peer ─► a trusted proxy? ─► the nearest address in X-Forwarded-For that is none ─► Context

A proxy that is not trusted could name any address, and so could its clients: its header is ignored. A request that
says it was forwarded never counts as this machine's own, whatever it names, so that a proxy beside the node hands no
stranger the rights of the machine.
"""

from __future__ import annotations

import hmac
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING

from cybermiles.errors import ConfigError
from cybermiles.rpc.access import is_forwarded, is_loopback
from cybermiles.rpc.methods import Context

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from ipaddress import IPv4Address, IPv4Network, IPv6Network

    from cybermiles.rpc.access import RateLimiter
    from cybermiles.rpc.methods import Profile

UNKNOWN = ""
"""Stands for the address of a forwarded request whose origin cannot be told; all such requests share it."""
_BEARER = "Bearer "


class Callers:
    """Tells callers apart."""

    def __init__(self, rates: RateLimiter, *, trusted_proxies: Iterable[str], token: str) -> None:
        """`trusted_proxies` are addresses or networks. Raises ConfigError where one is neither."""
        self._rates = rates
        self._proxies = parse_proxies(trusted_proxies)
        self._token = token.encode()

    def context(self, profile: Profile, peer: str, headers: Mapping[str, str]) -> Context:
        """Return the context of a request."""
        remote = self.remote(peer, headers)
        return Context(profile, remote, budget=self._rates.budget(remote))

    def remote(self, peer: str, headers: Mapping[str, str]) -> str:
        """Return the address that a request comes from."""
        if not is_forwarded(headers):
            return peer
        if not self.is_proxy(peer):
            return UNKNOWN if is_loopback(peer) else peer
        for hop in reversed(headers.get("X-Forwarded-For", "").split(",")):
            address = _address(hop.strip())
            if address is None:
                return UNKNOWN
            if not self._is_trusted(address):
                return str(address)
        return UNKNOWN

    def is_proxy(self, peer: str) -> bool:
        """Whether a peer may name the addresses that it speaks for; no count of connections holds for it."""
        address = _address(peer)
        return address is not None and self._is_trusted(address)

    def is_private(self, headers: Mapping[str, str]) -> bool:
        """Whether a request carries the token. Takes the same time for every wrong one."""
        given = headers.get("Authorization", "")
        if not self._token or not given.startswith(_BEARER):
            return False
        return hmac.compare_digest(given.removeprefix(_BEARER).encode(errors="surrogateescape"), self._token)

    def _is_trusted(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._proxies)


def parse_proxies(texts: Iterable[str]) -> tuple[IPv4Network | IPv6Network, ...]:
    """Return the networks that are written. Raises ConfigError for a text that is none."""
    return tuple(_network(text) for text in texts)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError:
        raise ConfigError(f'rpc.trusted_proxies: "{text}" is no IP address or network such as 10.0.0.0/8') from None


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
