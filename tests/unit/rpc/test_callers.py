"""Who a request comes from, and whether it may use what is private."""

import pytest

from cybermiles.errors import ConfigError
from cybermiles.rpc.access import RateLimiter, parse_method_rates
from cybermiles.rpc.callers import UNKNOWN, Callers
from cybermiles.rpc.config import RpcConfig, RpcLimits
from cybermiles.rpc.methods import Profile
from cybermiles.runtime.clock import ManualClock

TOKEN = "0123456789abcdef0123456789abcdef"


def callers(*proxies, token="", **limits):
    return Callers(RateLimiter(RpcLimits(**limits), ManualClock()), trusted_proxies=proxies, token=token)


@pytest.mark.parametrize(
    ("peer", "headers", "remote"),
    [
        ("127.0.0.1", {}, "127.0.0.1"),
        ("8.8.8.8", {}, "8.8.8.8"),
        ("127.0.0.1", {"X-Forwarded-For": "8.8.8.8"}, "8.8.8.8"),
        ("::1", {"X-Forwarded-For": "8.8.8.8"}, "8.8.8.8"),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1, 8.8.8.8"}, "8.8.8.8"),
        ("127.0.0.1", {"X-Forwarded-For": "1.1.1.1, 8.8.8.8, 10.0.0.9"}, "8.8.8.8"),
        ("10.0.0.9", {"X-Forwarded-For": " 2001:db8::1 "}, "2001:db8::1"),
        ("127.0.0.1", {"X-Forwarded-For": "::ffff:8.8.8.8"}, "8.8.8.8"),
        ("8.8.4.4", {"X-Forwarded-For": "127.0.0.1"}, "8.8.4.4"),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, UNKNOWN),
        ("127.0.0.1", {"X-Forwarded-For": ""}, UNKNOWN),
        ("127.0.0.1", {"X-Forwarded-For": "8.8.8.8, unknown"}, UNKNOWN),
        ("127.0.0.1", {"Forwarded": "for=127.0.0.1"}, UNKNOWN),
        ("127.0.0.1", {"X-Real-IP": "127.0.0.1"}, UNKNOWN),
        ("127.0.0.1", {"Via": "1.1 proxy"}, UNKNOWN),
    ],
)
def test_only_a_trusted_proxy_names_callers_and_never_this_machine(peer, headers, remote):
    assert callers("127.0.0.1", "::1", "10.0.0.0/8").remote(peer, headers) == remote


def test_without_trusted_proxies_a_forwarded_request_is_nobodys():
    assert callers().remote("127.0.0.1", {"X-Forwarded-For": "8.8.8.8"}) == UNKNOWN
    assert callers().remote("10.0.0.9", {"X-Forwarded-For": "8.8.8.8"}) == "10.0.0.9"


def test_forwarded_callers_share_no_budget_but_unknown_ones_do():
    known = callers("127.0.0.1", requests_burst=1)
    budgets = [
        known.context(Profile.WALLET, "127.0.0.1", {"X-Forwarded-For": hop}).budget
        for hop in ("8.8.8.8", "8.8.4.4", "x")
    ]
    assert all(budget.spend(1) for budget in budgets)
    assert known.context(Profile.WALLET, "127.0.0.1", {}).budget is None
    assert not known.context(Profile.WALLET, "127.0.0.1", {"Via": "1.1 x"}).budget.spend(1), "as the third one above"


@pytest.mark.parametrize("text", ["localhost", "10.0.0.1/8", "", "10.0.0.0/33"])
def test_a_trusted_proxy_is_an_address_or_a_network(text):
    with pytest.raises(ConfigError, match="rpc.trusted_proxies"):
        callers(text)


def test_the_token_is_compared_whole():
    guarded = callers(token=TOKEN)
    assert guarded.is_private({"Authorization": f"Bearer {TOKEN}"})
    for wrong in ("", TOKEN, f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}0", f"bearer {TOKEN}", "Bearer ", "Bearer \udcff"):
        assert not guarded.is_private({"Authorization": wrong})
    assert not guarded.is_private({})
    assert not callers().is_private({"Authorization": "Bearer "}), "no token is not an empty token"


def test_the_token_is_in_no_text_of_the_configuration():
    assert TOKEN not in repr(RpcConfig(token=TOKEN))


def test_a_method_has_a_rate_of_its_own_besides_its_weight():
    clock = ManualClock()
    limiter = RateLimiter(RpcLimits(), clock, method_rates=("eth_getLogs=2",))
    budget = limiter.budget("8.8.8.8")
    assert [budget.spend(1, "eth_getLogs") for _ in range(9)] == [True] * 8 + [False]
    assert budget.refusal == "2 eth_getLogs a second are allowed (rpc.method_rates)"
    assert budget.spend(1, "eth_call")
    clock.advance(500)
    assert [budget.spend(1, "eth_getLogs") for _ in range(2)] == [True, False]
    assert limiter.budget("8.8.4.4").spend(1, "eth_getLogs")


def test_a_request_over_one_limit_takes_nothing_of_the_other():
    budget = RateLimiter(
        RpcLimits(requests_burst=3, requests_per_second=1), ManualClock(), method_rates=("eth_call=1",)
    ).budget("8.8.8.8")
    assert not budget.spend(5, "eth_call")
    assert [budget.spend(1, "eth_call") for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize(
    "text", ["eth_getLogs", "eth_getLogs=", "eth_getLogs=0", "eth_getLogs=-1", "=5", "x=5", "a_b=٣"]
)
def test_a_method_rate_is_a_method_and_a_number(text):
    with pytest.raises(ConfigError, match="rpc.method_rates"):
        parse_method_rates([text])


def test_who_goes_on_after_refusals_is_a_hog_until_it_has_calmed_down():
    clock = ManualClock()
    limiter = RateLimiter(RpcLimits(requests_burst=10, requests_per_second=10), clock)
    budget = limiter.budget("8.8.8.8")
    assert all(budget.spend(1) for _ in range(10))
    for _ in range(10):
        assert not limiter.is_hog("8.8.8.8")
        assert not budget.spend(1)
    assert limiter.is_hog("8.8.8.8")
    assert not limiter.is_hog("8.8.4.4")
    clock.advance(100)
    assert not limiter.is_hog("8.8.8.8")


def test_this_machine_is_exempt_only_where_the_configuration_says_so():
    assert RateLimiter(RpcLimits(), ManualClock()).budget("127.0.0.1") is None
    assert RateLimiter(RpcLimits(), ManualClock(), loopback_exempt=False).budget("127.0.0.1") is not None
