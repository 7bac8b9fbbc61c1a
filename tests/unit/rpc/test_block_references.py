"""Tags, numbers, hashes and EIP-1898 objects."""

import pytest

from cybermiles.rpc.block_references import (
    AtHash,
    Tag,
    find_height,
    parse_block_hash,
    parse_block_number,
    parse_block_reference,
    state_height,
)
from cybermiles.rpc.jsonrpc import RpcError
from tests.fakes.rpc import FakeChain, hexed

HASH = "0x" + "ab" * 32


@pytest.mark.parametrize(
    ("value", "reference"),
    [
        ("latest", Tag.LATEST),
        ("safe", Tag.SAFE),
        ("finalized", Tag.FINALIZED),
        ("pending", Tag.PENDING),
        ("earliest", Tag.EARLIEST),
        ("0x10", 16),
        (HASH, AtHash(b"\xab" * 32)),
        ({"blockNumber": "0x2"}, 2),
        ({"blockNumber": "latest"}, Tag.LATEST),
        ({"blockHash": HASH}, AtHash(b"\xab" * 32)),
        ({"blockHash": HASH, "requireCanonical": True}, AtHash(b"\xab" * 32)),
        ({"blockHash": HASH, "requireCanonical": False, "blockNumber": None}, AtHash(b"\xab" * 32)),
    ],
)
def test_a_block_is_named_in_any_of_the_ways(value, reference):
    assert parse_block_reference(value) == reference


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("Latest", 'unknown block tag "Latest": use latest, pending, safe, finalized, earliest'),
        ("2", "hex string without 0x prefix"),
        ("0x02", "leading zero"),
        ("0x1" + "0" * 16, "> 64 bits"),
        ("", "empty hex string"),
        (2, "a hex string"),
        (True, "a hex string"),
        ([], "a hex string"),
        ({}, "needs blockNumber or blockHash"),
        ({"blockNumber": "0x1", "blockHash": HASH}, "cannot specify both"),
        ({"blockHash": HASH, "requireCanonical": "yes"}, "a boolean"),
        ({"blockHash": "0x12"}, "want 64"),
        ("0x" + "zz" * 32, "invalid hex string"),
    ],
)
def test_anything_else_is_refused_with_the_reason(value, reason):
    with pytest.raises(ValueError, match=reason):
        parse_block_reference(value)


def test_a_hash_is_no_number():
    with pytest.raises(ValueError, match="> 64 bits"):
        parse_block_number(HASH)
    assert parse_block_hash(HASH) == AtHash(b"\xab" * 32)


def test_final_tags_mean_the_head_and_unknown_blocks_mean_nothing():
    chain = FakeChain()
    block = chain.add()
    for tag in (Tag.LATEST, Tag.SAFE, Tag.FINALIZED, Tag.PENDING):
        assert find_height(chain, tag) == 1
    assert find_height(chain, Tag.EARLIEST) == 0
    assert find_height(chain, AtHash(block.hash)) == 1
    assert parse_block_hash(hexed(block.hash)) == AtHash(block.hash)
    assert find_height(chain, 1) == 1
    assert find_height(chain, 2) is None
    assert find_height(chain, AtHash(b"\1" * 32)) is None


@pytest.mark.parametrize(
    ("reference", "message"), [(9, "header not found"), (AtHash(bytes(32)), "header for hash not found")]
)
def test_the_state_of_an_unknown_block_is_an_error_as_geth_words_it(reference, message):
    with pytest.raises(RpcError, match=message) as caught:
        state_height(FakeChain(), reference)
    assert caught.value.code == -32000
