"""Kept outcomes: found by exact bytes, bounded in number and in memory."""

from __future__ import annotations

from cybermiles.application.outcomes import MAX_KEPT_BLOCKS, MAX_KEPT_BYTES, Executed, KeptBlocks
from cybermiles.consensus.ports import KEPT_OUTCOMES
from tests.factories import ADDRESSES, KEYS, PAID, MemoryChain, sign


def executed(chain, transactions=(), seconds=1):
    block, outcome = chain.build(transactions, seconds)
    return Executed(block, block.encode(), outcome)


def test_a_block_is_found_by_its_hash_and_by_exactly_its_bytes():
    kept = KeptBlocks()
    one = executed(MemoryChain(accounts=()))
    kept.add(one)
    assert kept.get(one.block.hash) is kept.find(bytes(bytearray(one.value))) is one
    assert kept.find(one.value[:-1]) is kept.find(b"") is kept.get(bytes(32)) is None
    kept.clear()
    assert kept.get(one.block.hash) is kept.find(one.value) is kept.value(one.block.hash) is None


def test_the_oldest_goes_when_there_are_too_many():
    assert MAX_KEPT_BLOCKS >= KEPT_OUTCOMES, "on which who decides relies"
    chain = MemoryChain(accounts=())
    blocks = [executed(chain, seconds=seconds) for seconds in range(1, MAX_KEPT_BLOCKS + 3)]
    kept = KeptBlocks()
    for block in blocks:
        kept.add(block)
    assert [kept.find(block.value) for block in blocks] == [None, None, *blocks[2:]]
    assert kept.value(blocks[1].block.hash) is None


def test_the_oldest_goes_when_they_are_too_large_together_but_never_the_newest():
    chain = MemoryChain(accounts=ADDRESSES[:8])
    large = [sign(key, 0, value=1, price=PAID) for key in KEYS[:8]]
    blocks = [executed(chain, large, seconds) for seconds in (1, 2, 3)]
    weight = blocks[0].weight
    assert weight > 8 * 2_000 + len(blocks[0].value)
    kept = KeptBlocks(max_bytes=2 * weight)
    for block in blocks:
        kept.add(block)
    assert [kept.find(block.value) is not None for block in blocks] == [False, True, True]
    assert [kept.value(block.block.hash) for block in blocks] == [block.value for block in blocks]
    kept = KeptBlocks(max_bytes=1)
    for block in blocks:
        kept.add(block)
    assert [kept.find(block.value) is not None for block in blocks] == [False, False, True]


def test_the_same_block_again_takes_no_more_room():
    chain = MemoryChain(accounts=())
    one, other = executed(chain), executed(chain, seconds=2)
    kept = KeptBlocks(max_bytes=one.weight + other.weight)
    for _ in range(5):
        kept.add(one)
        kept.add(other)
    assert kept.find(one.value) is not None
    assert MAX_KEPT_BYTES >= 4 * 16 * 1024 * 1024
