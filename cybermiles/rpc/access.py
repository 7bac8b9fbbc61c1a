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

from cybermiles.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cybermiles.rpc.config import RpcLimits
    from cybermiles.runtime.clock import Clock

ANY = "*"
WALLETS_PRESET = "wallets"
WALLETS = ("chrome-extension://*", "moz-extension://*", "https://remix.ethereum.org")
"""What "wallets" among the origins stands for: browser extensions, and Remix."""
BURST_SECONDS = 4
"""What a method with a rate of its own may be asked for at once, in seconds of that rate."""
_FORWARDED = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via")
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


def is_open(host: str) -> bool:
    """Whether other machines reach a listener on this host."""
    return host != "localhost" and not is_loopback(host)


def is_forwarded(headers: Mapping[str, str]) -> bool:
    """Whether a request says that a proxy passed it on, in whatever way proxies say so."""
    return any(name in headers for name in _FORWARDED)


def shown(header: str | None) -> str:
    """Return a header's start for an error text: headers may hold bytes that are no text and that JSON cannot carry."""
    return (header or "")[:100].encode("ascii", "backslashreplace").decode()


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
    """Token buckets: one for each remote address, and in it one for each method that has a rate of its own."""

    def __init__(
        self,
        limits: RpcLimits,
        clock: Clock,
        *,
        method_rates: Iterable[str] = (),
        loopback_exempt: bool = True,
    ) -> None:
        """`method_rates` are texts like "eth_getLogs=5". Raises ConfigError for another one."""
        self._limits = limits
        self._clock = clock
        self._method_rates = parse_method_rates(method_rates)
        self._loopback_exempt = loopback_exempt
        self._callers: dict[str, CallerBudget] = {}

    def budget(self, remote: str) -> CallerBudget | None:
        """Return what a caller may still ask for, None for callers without a limit."""
        if self.is_exempt(remote):
            return None
        budget = self._callers.pop(remote, None)
        if budget is None:
            budget = CallerBudget(self._limits, self._clock, self._method_rates)
            if len(self._callers) >= _TRACKED_CALLERS:
                del self._callers[next(iter(self._callers))]
        self._callers[remote] = budget
        return budget

    def is_exempt(self, remote: str) -> bool:
        """Whether no limit of one address holds for it."""
        return self._loopback_exempt and is_loopback(remote)

    def is_hog(self, remote: str) -> bool:
        """Whether an address goes on asking although it is refused."""
        budget = self._callers.get(remote)
        return budget is not None and budget.is_hog()


class CallerBudget:
    """What one address may spend; `methods.Budget`.

    Refusals cost work too. An address that has been refused `requests_burst` times faster than it regains weight is a
    hog: whoever serves it closes its connections until it has calmed down.
    """

    __slots__ = ("_clock", "_limits", "_method_rates", "_methods", "_patience", "_total", "refusal")

    def __init__(self, limits: RpcLimits, clock: Clock, method_rates: dict[str, int]) -> None:
        self._limits = limits
        self._clock = clock
        self._method_rates = method_rates
        self._total = self._bucket(limits.requests_per_second, limits.requests_burst)
        self._patience = self._bucket(limits.requests_per_second, limits.requests_burst)
        self._methods: dict[str, _Bucket] = {}
        self.refusal = ""

    def spend(self, weight: int, method: str = "") -> bool:
        """Take `weight` for a request; where it is not there, take nothing and say in `refusal` which limit it is."""
        own = self._method_bucket(method)
        if own is not None and not own.has(1):
            self.refusal = f"{self._method_rates[method]} {method} a second are allowed (rpc.method_rates)"
        elif self._total.spend(weight):
            if own is not None:
                own.spend(1)
            return True
        else:
            self.refusal = f"{self._limits.requests_per_second} a second are allowed (rpc.requests_per_second)"
        self._patience.spend(1)
        return False

    def is_hog(self) -> bool:
        """Whether refusals do not stop the caller."""
        return not self._patience.has(1)

    def _method_bucket(self, method: str) -> _Bucket | None:
        rate = self._method_rates.get(method)
        if rate is None:
            return None
        if method not in self._methods:
            self._methods[method] = self._bucket(rate, rate * BURST_SECONDS)
        return self._methods[method]

    def _bucket(self, per_second: int, burst: int) -> _Bucket:
        return _Bucket(self._clock, per_second, burst, burst, self._clock.monotonic())


def parse_method_rates(texts: Iterable[str]) -> dict[str, int]:
    """Return method to requests a second. Raises ConfigError for what is not "method=number"."""
    rates: dict[str, int] = {}
    for text in texts:
        method, equals, number = text.partition("=")
        if not (equals and "_" in method and number.isascii() and number.isdigit() and int(number) > 0):
            raise ConfigError(f'rpc.method_rates: "{text}" is not like eth_getLogs=5')
        rates[method] = int(number)
    return rates


@dataclass(slots=True)
class _Bucket:
    """Request weight, refilled by the clock."""

    clock: Clock
    per_second: int
    burst: int
    left: float
    updated: float

    def has(self, weight: int) -> bool:
        """Whether `weight` is left."""
        now = self.clock.monotonic()
        self.left = min(self.left + (now - self.updated) * self.per_second, self.burst)
        self.updated = now
        return self.left >= weight

    def spend(self, weight: int) -> bool:
        """Take `weight`; False, and nothing taken, where less is left."""
        if not self.has(weight):
            return False
        self.left -= weight
        return True
