"""Call, filter and override objects."""

import pytest

from cybermiles.execution.simulate import AccountOverride, BlockOverride
from cybermiles.rpc.block_references import Tag
from cybermiles.rpc.config import RpcLimits
from cybermiles.rpc.logs import LogQuery
from cybermiles.rpc.schemas import filter_parser, overrides_parser, parse_block_override, parse_call
from cybermiles.types.primitives import ZERO_ADDRESS
from cybermiles.vm.backend import CallMessage

A, B = "0x" + "aa" * 20, "0x" + "bb" * 20
WORD = "0x" + "00" * 31 + "07"
LIMITS = RpcLimits()
TOPIC = "0x" + "11" * 32


def test_an_empty_call_has_defaults():
    assert parse_call({}).to_message(1000) == CallMessage(sender=ZERO_ADDRESS, to=None, gas=1000)


def test_a_full_call_becomes_a_message():
    call = parse_call(
        {
            "from": A,
            "to": B,
            "gas": "0x64",
            "gasPrice": "0x2",
            "value": "0x3",
            "input": "0x0102",
            "nonce": "0x9",
            "type": "0x1",
            "chainId": "0x1",
            "accessList": [{"address": B, "storageKeys": [WORD]}],
            "somethingElse": {"is": "ignored"},
        }
    )
    assert call.to_message(1000) == CallMessage(
        sender=b"\xaa" * 20,
        to=b"\xbb" * 20,
        gas=100,
        gas_price=2,
        value=3,
        data=b"\1\2",
        access_list=((b"\xbb" * 20, (7,)),),
    )


def test_gas_is_cut_to_the_limit():
    assert parse_call({"gas": "0xffffffff"}).to_message(1000).gas == 1000


def test_input_and_data_are_two_names_of_one_thing():
    assert parse_call({"data": "0x01"}).calldata == parse_call({"input": "0x01"}).calldata == b"\1"
    assert parse_call({"data": "0x01", "input": "0x01"}).calldata == b"\1"
    with pytest.raises(ValueError, match='both "data" and "input" are set and not equal'):
        parse_call({"data": "0x01", "input": "0x02"})


@pytest.mark.parametrize(
    ("fees", "price"),
    [
        ({}, 0),
        ({"gasPrice": "0x5"}, 5),
        ({"maxFeePerGas": "0x5"}, 0),
        ({"maxPriorityFeePerGas": "0x5"}, 5),
        ({"maxFeePerGas": "0x9", "maxPriorityFeePerGas": "0x5"}, 5),
        ({"maxFeePerGas": "0x5", "maxPriorityFeePerGas": "0x5"}, 5),
        ({"maxFeePerGas": None, "gasPrice": None}, 0),
    ],
)
def test_the_price_of_a_call_is_at_base_fee_zero(fees, price):
    assert parse_call(fees).effective_price() == price


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ([], "an object is expected"),
        ("0x", "an object is expected"),
        ({"from": "0x12"}, "from: hex string has length 2, want 40"),
        ({"to": ""}, "to: empty hex string"),
        ({"gas": 21000}, "gas: a hex string is expected"),
        ({"gas": 2.5}, "gas: a hex string is expected"),
        ({"gas": "0x1" + "0" * 16}, "gas: hex number > 64 bits"),
        ({"value": "0x01"}, "value: hex number with leading zero digits"),
        ({"data": "0x1"}, "data: hex string of odd length"),
        ({"accessList": [{"address": A, "storageKeys": [1]}]}, "accessList.0.storageKeys.0: a string"),
        ({"accessList": [{}]}, "accessList.0.address"),
        ({"accessList": "0x"}, "accessList"),
        ({"gasPrice": "0x1", "maxFeePerGas": "0x1"}, r"both gasPrice and \(maxFeePerGas"),
        ({"maxFeePerGas": "0x1", "maxPriorityFeePerGas": "0x2"}, "maxFeePerGas .1. < maxPriorityFeePerGas .2."),
        ({"blobVersionedHashes": []}, "blob transactions are not supported"),
        ({"maxFeePerBlobGas": "0x1"}, "blob transactions are not supported"),
        ({"authorizationList": [{"chainId": "0x1"}]}, "authorizationList.0.address"),
    ],
)
def test_a_wrong_field_is_named(document, reason):
    with pytest.raises(ValueError, match=reason):
        parse_call(document)


def test_state_overrides_become_domain_values():
    overrides = overrides_parser(LIMITS)(
        {
            A: {"balance": "0x1", "nonce": "0x2", "code": "0x60", "state": {"0x0": "0x05", WORD: WORD}},
            B: {"stateDiff": {"0x1": "0x0"}},
        }
    )
    assert overrides == {
        b"\xaa" * 20: AccountOverride(balance=1, nonce=2, code=b"\x60", state={0: 5, 7: 7}),
        b"\xbb" * 20: AccountOverride(state_diff={1: 0}),
    }


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ([], "an object of accounts"),
        ({"0x12": {}}, "want 40"),
        ({A: 1}, "an object is expected"),
        ({A: {"state": {}, "stateDiff": {}}}, "both 'state' and 'stateDiff'"),
        ({A: {"movePrecompileToAddress": B}}, "movePrecompileToAddress is not supported"),
        ({A: {"code": "0x" + "00" * 262_145}}, "rpc.overrides_max_bytes"),
        ({f"0x{n:040x}": {} for n in range(65)}, r"65 accounts, at most 64 are allowed \(rpc.overrides_max_accounts"),
    ],
)
def test_wrong_or_large_overrides_are_refused(document, reason):
    with pytest.raises(ValueError, match=reason):
        overrides_parser(LIMITS)(document)


def test_block_overrides_take_either_of_two_names():
    expected = BlockOverride(height=1, timestamp=2, coinbase=b"\xaa" * 20, gas_limit=3, prev_randao=b"\x11" * 32)
    one = {"number": "0x1", "time": "0x2", "feeRecipient": A, "gasLimit": "0x3", "prevRandao": TOPIC}
    other = {"number": "0x1", "timestamp": "0x2", "coinbase": A, "gasLimit": "0x3", "random": TOPIC}
    assert parse_block_override(one) == parse_block_override(other) == expected
    assert parse_block_override({"baseFeePerGas": "0x0"}) == BlockOverride()
    with pytest.raises(ValueError, match="baseFeePerGas is always 0"):
        parse_block_override({"baseFeePerGas": "0x1"})


@pytest.mark.parametrize(("name", "last"), [("number", 2**48), ("time", 2**40 - 1), ("timestamp", 2**40 - 1)])
def test_block_overrides_stay_where_blocks_can_be(name, last):
    parse_block_override({name: hex(last)})
    for later in (last + 1, 2**64 - 1):
        with pytest.raises(ValueError, match=f"{later} is after the last"):
            parse_block_override({name: hex(later)})


@pytest.mark.parametrize(
    ("document", "query"),
    [
        ({}, LogQuery()),
        ({"fromBlock": None, "toBlock": None, "address": None, "topics": None}, LogQuery()),
        ({"fromBlock": "0x1", "toBlock": "finalized"}, LogQuery(first=1, last=Tag.FINALIZED)),
        ({"address": A}, LogQuery(addresses=(b"\xaa" * 20,))),
        ({"address": [A, B]}, LogQuery(addresses=(b"\xaa" * 20, b"\xbb" * 20))),
        ({"topics": [None, TOPIC, [TOPIC, None][:1], []]}, LogQuery(topics=((), (b"\x11" * 32,), (b"\x11" * 32,), ()))),
        ({"blockHash": TOPIC}, LogQuery(block_hash=b"\x11" * 32)),
    ],
)
def test_a_filter_object_becomes_a_query(document, query):
    assert filter_parser(LIMITS)(document) == query


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"fromBlock": "latesst"}, "unknown block tag"),
        ({"fromBlock": 1}, "fromBlock"),
        ({"address": "0x1"}, "address.0"),
        ({"address": [None]}, "address.0"),
        ({"topics": "0x"}, "topics"),
        ({"topics": [["0x1"]]}, "topics.0.0"),
        ({"topics": [TOPIC] * 5}, "5 topics, at most 4"),
        ({"topics": [[TOPIC] * 33]}, "rpc.logs_max_topic_alternatives"),
        ({"address": [A] * 101}, "rpc.logs_max_addresses"),
        ({"blockHash": TOPIC, "fromBlock": "0x1"}, "cannot specify both blockHash and fromBlock"),
    ],
)
def test_a_wrong_filter_object_is_refused(document, reason):
    with pytest.raises(ValueError, match=reason):
        filter_parser(LIMITS)(document)
