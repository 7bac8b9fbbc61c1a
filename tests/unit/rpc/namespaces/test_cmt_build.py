"""Builders: what they encode, and what they say about a wrong argument."""

import pytest

from cybermiles.chain.predeploys import GOVERNANCE, STAKING
from cybermiles.execution.simulate import CallFailed
from cybermiles.rpc.jsonrpc import EXECUTION_REVERTED, INVALID_PARAMS
from cybermiles.rpc.quantities import encode_checksummed
from cybermiles.system.abi import load_abi
from cybermiles.system.interface import GOVERNANCE_ABI, STAKING_ABI
from tests.fakes.rpc import OTHER, SENDER, FakeNode, hexed, reverted

ME, YOU = hexed(SENDER), hexed(OTHER)


@pytest.fixture
def node():
    return FakeNode()


def calldata(interface, function, *arguments):
    return hexed(load_abi(interface).functions[function].encode_call(*arguments))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("method", "fields", "to", "data", "value"),
    [
        ("Delegate", {"validator": YOU, "value": "0x5"}, STAKING, (STAKING_ABI, "delegate", OTHER), "0x5"),
        ("Delegate", {"validator": YOU}, STAKING, (STAKING_ABI, "delegate", OTHER), "0x0"),
        ("Undelegate", {"validator": YOU, "amount": 7}, STAKING, (STAKING_ABI, "undelegate", OTHER, 7), "0x0"),
        ("Vote", {"id": 3, "choice": "no"}, GOVERNANCE, (GOVERNANCE_ABI, "vote", 3, 2), "0x0"),
        (
            "UpdateProfile",
            {"profile": {"name": "n", "website": "w", "location": "l", "email": "e", "about": "a"}},
            STAKING,
            (STAKING_ABI, "updateProfile", ("n", "w", "l", "e", "a")),
            "0x0",
        ),
        (
            "Claim",
            {"id": "0x1", "victim": YOU, "amount": hex(2**200), "proof": ["0x" + "11" * 32]},
            GOVERNANCE,
            (GOVERNANCE_ABI, "claim", 1, OTHER, 2**200, (b"\x11" * 32,)),
            "0x0",
        ),
        (
            "SetVerified",
            {"validator": YOU, "verified": False},
            STAKING,
            (STAKING_ABI, "setVerified", OTHER, False),
            "0x0",
        ),
    ],
)
async def test_a_builder_returns_what_a_wallet_sends(node, method, fields, to, data, value):
    node.executor.gas = 150_000
    assert await node.result(f"cmt_build{method}", {"from": ME, **fields}) == {
        "from": encode_checksummed(SENDER),
        "to": encode_checksummed(to),
        "data": calldata(*data),
        "value": value,
        "gas": hex(150_000),
    }
    ((_, message, height, _),) = node.executor.asked
    assert (message.sender, message.to, message.value, height) == (SENDER, to, int(value, 16), 5)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("method", "value", "said"),
    [
        ("Delegate", "0x1", "an object with the keys from, value, validator is expected"),
        ("Delegate", {"from": ME}, 'the key "validator" is missing'),
        ("Delegate", {"validator": YOU}, 'the key "from" is missing'),
        ("Delegate", {"from": ME, "validatr": YOU}, 'unknown key; did you mean "validator"?'),
        ("Delegate", {"from": ME, "validator": "0x12"}, "validator: hex string has length 2, want 40 for an address"),
        ("Undelegate", {"from": ME, "validator": YOU, "amount": 1, "value": "0x1"}, "unknown key; valid: from, "),
        ("Undelegate", {"from": ME, "validator": YOU, "amount": -1}, "amount: a hex string is expected"),
        ("Undelegate", {"from": ME, "validator": YOU, "amount": 2**53 + 1}, "amount: a hex string is expected"),
        ("Undelegate", {"from": ME, "validator": YOU, "amount": True}, "amount: a hex string is expected"),
        ("SetCompRateFor", {"from": ME, "delegator": YOU, "compRatePpm": 2**32}, "is no integer in 0 … 4294967295"),
        ("Vote", {"from": ME, "id": 1, "choice": "None"}, "choice: one of Yes, No is expected"),
        ("Vote", {"from": ME, "id": 1, "choice": 1}, "choice: one of Yes, No is expected"),
        ("SetVerified", {"from": ME, "validator": YOU, "verified": 1}, "verified: a boolean is expected"),
        ("UpdateProfile", {"from": ME, "profile": {"name": "n"}}, 'profile: the key "website" is missing'),
        ("UpdateProfile", {"from": ME, "profile": "n"}, "profile: an object with the keys name, website"),
        ("ProposeSignal", {"from": ME, "title": 1, "reason": "", "closesTime": 0}, "title: a string is expected"),
        ("Claim", {"from": ME, "id": 1, "victim": YOU, "amount": 1, "proof": "0x"}, "proof: an array is expected"),
        ("Claim", {"from": ME, "id": 1, "victim": YOU, "amount": 1, "proof": ["0x11"]}, "is not 32 bytes"),
    ],
)
async def test_a_wrong_argument_is_named(node, method, value, said):
    error = await node.error(f"cmt_build{method}", value)
    assert error["code"] == INVALID_PARAMS
    assert said in error["message"]
    assert node.executor.asked == []


@pytest.mark.asyncio
async def test_what_the_contract_would_refuse_is_said_in_words(node):
    data = load_abi(STAKING_ABI).errors["BelowMinimum"].encode((10**21,))
    node.executor.error = CallFailed(reverted(data), 100)
    error = await node.error("cmt_buildDelegate", {"from": ME, "validator": YOU})
    assert error == {
        "code": EXECUTION_REVERTED,
        "message": "execution reverted: the least delegation is 1000 CMT; leave as much, or take everything out",
        "data": hexed(data),
    }
