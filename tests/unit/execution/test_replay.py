"""Replaying committed blocks: every lane, system contracts, evidence; and the state in the middle of a block."""

from __future__ import annotations

import pytest

from cybermiles.chain.fees import Lane
from cybermiles.chain.predeploys import STAKING
from cybermiles.errors import InvariantViolation
from cybermiles.execution.replay import calls_of, replay_block
from cybermiles.state.trie import ACCOUNT_TRIE
from cybermiles.state.walk import leaves
from cybermiles.system.abi import load_abi
from cybermiles.vm.tracing import ByteBudget, CallKind, CallRecorder, TraceTooLarge
from tests.factories import ADDRESSES, KEYS, PAID, MemoryChain, double_vote, sign
from tests.fakes.fees_contract import SHOP, ShopChain, sponsored
from tests.fakes.sources import MemorySource

LIMIT = 10**7


def replay(source, height):
    return source.replay(height)


def transfer(key, nonce, **more):
    return sign(KEYS[key], nonce, to=ADDRESSES[9], value=7, **more)


@pytest.fixture
def shop():
    """A block with a transaction in each lane."""
    source = MemorySource(ShopChain().open())
    source.advance([transfer(2, 0), sponsored(KEYS[1]), transfer(3, 0, gas=600_000, price=PAID)])
    return source


def test_each_lane_is_replayed_as_it_was(shop):
    height = shop.head_height()
    assert [outcome.lane for outcome in shop.outcomes(height)] == [Lane.FREE, Lane.SPONSORED, Lane.PAID]
    roots = [calls_of(replay(shop, height), index, max_bytes=LIMIT, with_logs=True) for index in range(3)]
    assert [root.gas_used for root in roots] == [outcome.gas_used for outcome in shop.outcomes(height)]
    assert [(root.to, root.value) for root in roots] == [(ADDRESSES[9], 7), (SHOP, 0), (ADDRESSES[9], 7)]
    told = [entry.log for entry in roots[1].logs]
    assert told == list(shop.outcomes(height)[1].receipt.logs[: len(told)])
    assert [entry.number for entry in roots[1].logs] == list(range(len(told)))


def test_calls_of_system_contracts_are_calls():
    source = MemorySource()
    source.advance(
        [
            sign(
                KEYS[5],
                0,
                to=STAKING,
                data=load_abi("ICmtStaking").functions["validators"].encode_call(0, 10),
                gas=500_000,
            )
        ]
    )
    root = calls_of(replay(source, 1), 0, max_bytes=LIMIT)
    assert (root.kind, root.to, root.error) == (CallKind.CALL, STAKING, None)
    assert len(root.output) == 64, "an empty list"


def test_a_block_with_absences_and_evidence_is_replayed():
    source = MemorySource(MemoryChain(powers=(3, 1, 1, 1)))
    source.advance([transfer(0, 0)])
    chain = source.memory
    source.advance([transfer(0, 1)], absent=(1,))
    offence = double_vote(chain.chain, chain.validators(1).validators[2], 1)
    source.advance([transfer(0, 2), transfer(1, 0)], evidence=[offence.encode()])
    for height in (1, 2, 3):
        outcomes = [outcome for _, outcome in replay(source, height).trace(lambda _index: None)]
        assert outcomes == list(source.outcomes(height))


def test_a_replay_that_differs_is_a_bug_of_the_node(shop):
    height = shop.head_height()
    first, *others = shop.outcomes(height)
    wrong = [first._replace(compute_units=first.compute_units + 1), *others]
    playing = replay_block(shop.constants, shop.parent(height - 1), shop.block(height), wrong)
    with pytest.raises(InvariantViolation, match=f"transaction 0 of block {height}"):
        playing.advance(1)


def test_a_trace_that_is_too_large_is_given_up(shop):
    with pytest.raises(TraceTooLarge):
        calls_of(replay(shop, shop.head_height()), 1, max_bytes=300)


def test_the_state_in_the_middle_of_a_block_can_be_read(shop):
    height = shop.head_height()
    playing = replay(shop, height)
    before = playing.state()
    playing.advance(2)
    middle = playing.state()
    assert middle.account(ADDRESSES[2]).nonce == 1
    assert middle.account(ADDRESSES[3]).nonce == 0
    assert middle.account(SHOP).storage_root != before.account(SHOP).storage_root
    assert [key for key, _ in leaves(middle, ACCOUNT_TRIE, middle._root)] == [
        key for key, _ in leaves(before, ACCOUNT_TRIE, before._root)
    ]
    code_hash = middle.account(SHOP).code_hash
    assert middle.code(code_hash) == shop.memory.code(code_hash)


def test_what_was_applied_is_not_applied_again(shop):
    height = shop.head_height()
    playing = replay(shop, height)
    playing.advance(1)
    recorder = CallRecorder(ByteBudget(LIMIT))
    assert [index for index, _ in playing.trace(lambda index: recorder if index == 2 else None)] == [1, 2]
    assert recorder.root.to == ADDRESSES[9]
    assert playing.logs == sum(len(outcome.receipt.logs) for outcome in shop.outcomes(height))
