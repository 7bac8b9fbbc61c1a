"""The chain of tests/fakes/foreign.py is imported: every root must agree, and a wrong one is refused by name."""

from __future__ import annotations

import pytest
import rlp as rlp_library

from cybermiles.conformance.chain import load_chain
from cybermiles.conformance.errors import ForeignChainError
from cybermiles.vm.ethereum import EthereumFork
from tests.fakes.foreign import BLOCKS_PER_FORK, FORKS, OMMER_COINBASE, OMMER_HEIGHT, SECONDS


def test_a_chain_through_every_fork_is_imported_with_the_same_roots(mined):
    genesis, chain_file, blocks = mined
    chain = load_chain(genesis, chain_file)
    assert [chain.header(height).hash for height in range(1, len(blocks) + 1)] == [block.hash for block in blocks]
    forks = [chain.schedule.at(height, height * SECONDS) for height in range(1, len(blocks) + 1)]
    assert forks == [EthereumFork[name] for name, _, _ in FORKS for _ in range(BLOCKS_PER_FORK)]
    failed = {outcome.failure for height in range(2, len(blocks)) for outcome in chain.outcomes(height)}
    assert failed == {None, "invalid opcode"}


@pytest.mark.parametrize("height", [1, 9, 20, 24, 28])
def test_a_block_whose_state_root_is_wrong_is_refused_by_name(mined, height):
    genesis, _, blocks = mined
    wrong = blocks[height - 1].copy(header=blocks[height - 1].header.copy(state_root=b"\x01" * 32))
    chain_file = b"".join(map(rlp_library.encode, [*blocks[: height - 1], wrong]))
    with pytest.raises(ForeignChainError, match=f"block {height}: state_root is 0x0101"):
        load_chain(genesis, chain_file)


def test_an_ommer_is_paid_for_its_distance(mined):
    genesis, chain_file, _ = mined
    chain = load_chain(genesis, chain_file)
    reward = 3 * 10**18 * 7 // 8
    assert chain.state(OMMER_HEIGHT).account(OMMER_COINBASE).balance == reward


def test_a_file_may_begin_with_block_0_of_the_same_chain_only(mined):
    genesis, chain_file, blocks = mined
    block_0 = load_chain(genesis, b"").foreign(0)
    assert load_chain(genesis, block_0.encode() + chain_file).head.hash == blocks[-1].hash
    other = load_chain(genesis.replace(b"10000000", b"10000001", 1), b"").foreign(0)
    with pytest.raises(ForeignChainError, match="begins with block 0"):
        load_chain(genesis, other.encode() + chain_file)


@pytest.mark.parametrize(
    ("genesis", "message"),
    [
        (b"{}", "the genesis file is not one of geth's"),
        (b"[]", "the genesis file is not one of geth's"),
        (b'{"config": {"chainId": 1, "amsterdamTime": 5}, "gasLimit": "0x1"}', "config.amsterdamTime"),
    ],
)
def test_a_genesis_file_that_is_none_is_refused_in_words(genesis, message):
    with pytest.raises(ForeignChainError, match=message):
        load_chain(genesis, b"")
