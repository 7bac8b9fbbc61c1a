"""Hosts, origins, rates."""

import pytest

from cybermiles.rpc import access
from cybermiles.rpc.access import RateLimiter, is_allowed_host, is_allowed_origin, is_loopback
from cybermiles.rpc.config import RpcConfig, RpcLimits
from cybermiles.runtime.clock import ManualClock

VHOSTS = RpcConfig().vhosts


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("localhost", True),
        ("LOCALHOST:8545", True),
        ("localhost.", True),
        ("127.0.0.1:8545", True),
        ("[::1]:8545", True),
        ("[::1]", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("127.0.0.2", False),
        ("localhost@evil.example", False),
        ("evil.example/localhost", False),
        ("[::1", False),
        ("", False),
        (None, False),
    ],
)
def test_only_listed_names_are_hosts(host, allowed):
    assert is_allowed_host(host, VHOSTS) is allowed


def test_a_star_among_the_vhosts_allows_every_name():
    assert is_allowed_host("evil.example", ("*",))


@pytest.mark.parametrize(
    ("origin", "allowed", "answer"),
    [
        ("https://remix.ethereum.org", (), False),
        ("https://remix.ethereum.org", ("wallets",), True),
        ("chrome-extension://nkbihfbeogaeaoehlefnkodbefgpgknn", ("wallets",), True),
        ("moz-extension://uuid", ("wallets",), True),
        ("https://remix.ethereum.org.evil.example", ("wallets",), False),
        ("http://remix.ethereum.org", ("wallets",), False),
        ("http://localhost:3000", ("http://localhost:*",), True),
        ("http://localhost:evil", ("http://localhost:*",), False),
        ("http://localhost:", ("http://localhost:*",), False),
        ("http://localhost.evil.example", ("http://localhost:*",), False),
        ("https://a.example", ("https://a.example",), True),
        ("https://b.example", ("https://a.example",), False),
        ("https://b.example", ("*",), True),
        ("null", (), False),
        ("null", ("wallets",), False),
        ("http://node:8545", (), True),
        ("http://node:8546", (), False),
        ("ftp://node:8545", (), False),
    ],
)
def test_only_listed_origins_and_the_servers_own_are_allowed(origin, allowed, answer):
    assert is_allowed_origin(origin, allowed, "node:8545") is answer


@pytest.mark.parametrize(
    ("address", "answer"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("", False),
    ],
)
def test_loopback_addresses_are_known(address, answer):
    assert is_loopback(address) is answer


def test_a_bucket_gives_its_burst_and_then_its_rate():
    clock = ManualClock()
    limiter = RateLimiter(RpcLimits(requests_per_second=10, requests_burst=20), clock)
    budget = limiter.budget("10.0.0.1")
    assert all(budget.spend(5) for _ in range(4))
    assert not budget.spend(1)
    clock.advance(99)
    assert not budget.spend(1)
    clock.advance(1)
    assert budget.spend(1)
    assert not limiter.budget("10.0.0.1").spend(1)
    assert limiter.budget("10.0.0.2").spend(20)
    clock.advance(3_600_000)
    assert budget.spend(20)
    assert not budget.spend(1)


def test_only_the_most_recent_callers_are_remembered(monkeypatch):
    monkeypatch.setattr(access, "_TRACKED_CALLERS", 2)
    limiter = RateLimiter(RpcLimits(requests_burst=1), ManualClock())
    assert limiter.budget("10.0.0.1").spend(1)
    for remote in ("10.0.0.2", "10.0.0.1", "10.0.0.3"):
        limiter.budget(remote)
    assert not limiter.budget("10.0.0.1").spend(1)
    assert len(limiter._callers) == 2


def test_loopback_callers_have_no_limit():
    assert RateLimiter(RpcLimits(), ManualClock()).budget("127.0.0.1") is None
