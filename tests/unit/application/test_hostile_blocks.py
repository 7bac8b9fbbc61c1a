"""Blocks of a hostile proposer: refused with a reason, and nothing raises."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybermiles.chain.params import PARAM_SPECS
from cybermiles.errors import InvariantViolation
from cybermiles.execution.validation import LAST_TIMESTAMP
from cybermiles.staking.records import EXIT_BODY_WORD
from cybermiles.types.block import Block, decode_block
from cybermiles.types.commit import Commit
from tests.factories import ADDRESSES, KEYS, double_vote, sign, validator
from tests.unit.application.test_four_validators import POWERS, Node, decide_everywhere


async def busy_node():
    """A node whose next block has transactions, evidence and a commit to tamper with; (node, the block, its bytes)."""
    node = Node(accounts=ADDRESSES[:8])
    await decide_everywhere([node], await node.propose())
    node.pool.report(double_vote(node.chain, validator(1, POWERS[1]), 1))
    proposal = await node.propose([sign(KEYS[n], 0, value=n) for n in range(3)])
    block = decode_block(proposal.value, max_bytes=10**6)
    assert (len(block.transactions), len(block.consensus.evidence)) == (3, 1)
    node.application._kept.clear()
    return node, block, proposal.value


BUSY = asyncio.run(busy_node())


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 2), st.integers(0, 255)), min_size=1, max_size=3))
def test_mutated_blocks_are_refused_and_never_raise(mutations):
    node, _, value = BUSY
    mutated = bytearray(value)
    for position, kind, byte in mutations:
        at = position % len(mutated)
        if kind == 0:
            mutated[at] = byte
        elif kind == 1:
            del mutated[at]
        else:
            mutated.insert(at, byte)
    verdict = asyncio.run(node.application.process_proposal(bytes(mutated)))
    assert verdict.accepted == (bytes(mutated) == value)
    node.application._kept.clear()


FIELDS = {
    "proposer": st.sampled_from([m.address for m in BUSY[0].start.document.validator_set.validators])
    | st.binary(min_size=20, max_size=20),
    "validators_hash": st.binary(min_size=32, max_size=32),
    "next_validators_hash": st.binary(min_size=32, max_size=32),
    "parameters_hash": st.binary(min_size=32, max_size=32),
    "app_version": st.integers(0, 2**64 - 1),
    "evidence": st.lists(st.binary(max_size=40) | st.just(BUSY[1].consensus.evidence[0]), min_size=1, max_size=3).map(
        tuple
    ),
    "last_commit": st.builds(
        Commit,
        st.integers(0, 2**64 - 1) | st.just(1),
        st.integers(0, 2**32 - 1) | st.just(0),
        st.binary(min_size=32, max_size=32) | st.just(BUSY[1].header.parent_hash),
        st.lists(
            st.none() | st.binary(min_size=64, max_size=64) | st.sampled_from(BUSY[1].consensus.last_commit.signatures),
            max_size=5,
        ).map(tuple),
    ),
}
HEADER = {
    "timestamp": st.integers(0, 2**64 - 1),
    "gas_limit": st.integers(0, 2**64 - 1),
    "gas_used": st.integers(0, 2**64 - 1),
    "coinbase": st.binary(min_size=20, max_size=20),
    "prev_randao": st.binary(min_size=32, max_size=32),
    "state_root": st.binary(min_size=32, max_size=32),
    "height": st.integers(0, 2**64 - 1),
}


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_proposer_that_commits_to_wrong_fields_is_refused_and_nothing_raises(data):
    """The header commits to whatever the proposer made up, so every check behind the commitment is reached."""
    node, block, _ = BUSY
    names = data.draw(st.lists(st.sampled_from(sorted(FIELDS)), min_size=1, max_size=2, unique=True))
    consensus = dataclasses.replace(block.consensus, **{name: data.draw(FIELDS[name]) for name in names})
    changes = {
        name: data.draw(HEADER[name]) for name in data.draw(st.lists(st.sampled_from(sorted(HEADER)), max_size=1))
    }
    header = dataclasses.replace(block.header, extra_data=consensus.commitment, **changes)
    forged = Block(header, block.transactions, consensus)
    verdict = asyncio.run(node.application.process_proposal(forged.encode()))
    assert verdict.accepted == (forged == block)
    assert verdict.accepted or verdict.reason
    node.application._kept.clear()


@pytest.mark.parametrize(
    ("timestamp", "reason"),
    [
        (2**32, "state root"),
        (LAST_TIMESTAMP, "state root"),
        (LAST_TIMESTAMP + 1, "timestamp 1099511627776 is after the last one"),
        (2**64 - 1, "timestamp 18446744073709551615 is after the last one"),
    ],
)
@pytest.mark.asyncio
async def test_a_header_time_in_the_far_future_costs_no_more_than_any_other(timestamp, reason):
    """Whether the time is credible is the engine's question; the application only must not choke on it."""
    node, block, _ = await busy_node()
    header = dataclasses.replace(block.header, timestamp=timestamp)
    verdict = await node.application.process_proposal(Block(header, block.transactions, block.consensus).encode())
    assert verdict.reason.startswith(reason)


def test_what_the_longest_delays_add_to_the_last_time_fits_where_contracts_keep_it():
    """Else the block of a hostile proposer, with a request of its own in it, stops whoever executes it."""
    longest = max(spec.maximum for name, spec in PARAM_SPECS.items() if name.endswith("_seconds"))
    assert LAST_TIMESTAMP + 4 * longest < 2**48, "the narrowest field of a time"
    exit_at = EXIT_BODY_WORD.unpack(0)._replace(release=LAST_TIMESTAMP + longest)
    assert EXIT_BODY_WORD.unpack(EXIT_BODY_WORD.pack(exit_at)) == exit_at
    with pytest.raises(InvariantViolation, match="release"):
        EXIT_BODY_WORD.pack(exit_at._replace(release=2**64 - 1 + longest))
