"""Who may talk to the server: host names, web origins, connection counts and request rates.

A browser sends any page's requests to a server on the same machine. Two headers tell such requests from
a wallet's: `Host` names the server as the page knows it (a rebound DNS name is not in the list), `Origin` names
the page. Whoever sets neither is not a browser and is bounded by counts and rates only.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cybermiles.rpc.config import RpcLimits
    from cybermiles.runtime.clock import Clock

ANY = "*"
WALLETS_PRESET = "wallets"
WALLETS = ("chrome-extension://*", "moz-extension://*", "https://remix.ethereum.org")
"""What "wallets" among the origins stands for: browser extensions, and Remix."""
_TRACKED_CALLERS = 10_000


def is_loopback(address: str) -> bool:
    """Whether an IP address is this machine's own."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped.is_loopback
    return parsed.is_loopback


def is_allowed_host(host: str | None, vhosts: Iterable[str]) -> bool:
    """Whether a Host header names this server. Ports are ignored."""
    allowed = {name.lower().strip("[]") for name in vhosts}
    if ANY in allowed:
        return True
    if not host:
        return False
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return name is not None and name.lower().rstrip(".") in allowed


def is_allowed_origin(origin: str, allowed: Iterable[str], host: str | None) -> bool:
    """Whether a web page of this origin may read answers. A page of this very server may."""
    for entry in allowed:
        patterns = WALLETS if entry == WALLETS_PRESET else (entry,)
        if any(_matches(origin, pattern) for pattern in patterns):
            return True
    scheme, _, authority = origin.partition("://")
    return scheme in ("http", "https") and host is not None and authority == host


def _matches(origin: str, pattern: str) -> bool:
    if pattern in (ANY, origin):
        return True
    prefix, star, rest = pattern.partition(ANY)
    if not star or rest or not origin.startswith(prefix):
        return False
    tail = origin[len(prefix) :]
    return tail.isdigit() if prefix.endswith(":") else bool(tail)


class RateLimiter:
    """A token bucket for each remote address; loopback addresses have no limit."""

    def __init__(self, limits: RpcLimits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def budget(self, remote: str) -> _Bucket | None:
        """Return the caller's bucket, None for callers without a limit."""
        if is_loopback(remote):
            return None
        bucket = self._buckets.pop(remote, None)
        if bucket is None:
            limits = self._limits
            bucket = _Bucket(
                self._clock,
                limits.requests_per_second,
                limits.requests_burst,
                limits.requests_burst,
                self._clock.monotonic(),
            )
            if len(self._buckets) >= _TRACKED_CALLERS:
                del self._buckets[next(iter(self._buckets))]
        self._buckets[remote] = bucket
        return bucket


@dataclass(slots=True)
class _Bucket:
    """Request weight, refilled by the clock."""

    clock: Clock
    per_second: int
    burst: int
    left: float
    updated: float

    def spend(self, weight: int) -> bool:
        """Take `weight`; False, and nothing taken, where less is left."""
        now = self.clock.monotonic()
        self.left = min(self.left + (now - self.updated) * self.per_second, self.burst)
        self.updated = now
        if self.left < weight:
            return False
        self.left -= weight
        return True
