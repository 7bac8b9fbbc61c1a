"""The application boundary over a real database: prepare, process, finalize, commit, and what happens out of order."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from cybermiles.application.application import ChainApplication
from cybermiles.crypto import ed25519
from cybermiles.errors import InvariantViolation
from cybermiles.execution.genesis import genesis_block
from cybermiles.state.kv import MemoryStore
from cybermiles.storage.database import Database
from cybermiles.storage.recovery import check_store
from cybermiles.types.abci import PrepareRequest
from cybermiles.types.block import decode_block
from cybermiles.types.commit import Commit
from cybermiles.types.primitives import Hash32
from cybermiles.types.transaction import recover_senders
from cybermiles.types.transaction_codec import decode_transaction
from cybermiles.types.vote import VoteType, vote_sign_bytes
from tests.factories import ADDRESSES, KEYS, PAID, VALIDATOR_KEY, MemoryChain, sign


class Inline:
    async def run(self, function, *args, **kwargs):
        return function(*args, **kwargs)


class Listener:
    def __init__(self):
        self.blocks = []

    def block_committed(self, block, outcome):
        self.blocks.append(block)


class Node:
    """One application over its own store; `decide` takes it through a height."""

    def __init__(self, store=None, **more):
        self.reference = MemoryChain()
        self.store = MemoryStore() if store is None else store
        self.database = Database(self.store)
        document = self.reference.document
        self.database.commit_genesis(genesis_block(document))
        self.listener = Listener()
        self.application = ChainApplication(
            chain=self.reference.chain,
            database=self.database,
            params=document.params,
            worker=Inline(),
            listeners=(self.listener,),
            **more,
        )

    async def request(self):
        info = await self.application.info()
        return PrepareRequest(
            height=info.height + 1,
            timestamp=info.timestamp + 1,
            proposer=info.validators.validators[0].address,
            last_commit=info.last_commit,
        )

    def commit_for(self, height, block_hash):
        chain = self.reference.chain
        message = vote_sign_bytes(chain.chain_id, chain.genesis_hash, VoteType.PRECOMMIT, height, 0, block_hash)
        return Commit(height, 0, block_hash, (ed25519.sign(VALIDATOR_KEY, message),))

    async def decide(self, transactions=()):
        request = await self.request()
        proposal = await self.application.prepare_proposal(request, transactions)
        await self.finish(request.height, proposal.block_hash)
        return proposal

    async def finish(self, height, block_hash):
        await self.application.finalize_block(block_hash)
        await self.application.commit(self.commit_for(height, block_hash))


@pytest.mark.asyncio
async def test_two_nodes_follow_the_same_blocks():
    proposer, follower = Node(), Node()
    for nonce in range(4):
        proposal = await proposer.decide([sign(KEYS[n], nonce, value=n, price=PAID) for n in range(5)])
        verdict = await follower.application.process_proposal(proposal.value)
        assert (verdict.accepted, verdict.block_hash) == (True, proposal.block_hash)
        await follower.finish(nonce + 1, proposal.block_hash)
    assert [b.hash for b in follower.listener.blocks] == [b.hash for b in proposer.listener.blocks]
    assert (await follower.application.info()) == (await proposer.application.info())
    assert check_store(follower.database).height == 4


@pytest.mark.asyncio
async def test_what_the_pool_holds_is_neither_decoded_nor_recovered_again():
    signed = [sign(KEYS[n], 0, value=n, price=PAID) for n in range(4)]
    pooled = {tx.raw: decode_transaction(tx.raw) for tx in signed[:2]}
    for tx in pooled.values():
        assert tx.sender
    recovered = []

    def recover(transactions):
        recovered.extend(tx.hash for tx in transactions)
        recover_senders(transactions)

    proposer, follower = Node(), Node(pooled=pooled.get, recover=recover)
    proposal = await proposer.decide(signed)
    assert (await follower.application.process_proposal(proposal.value)).accepted
    await follower.finish(1, proposal.block_hash)
    included = follower.listener.blocks[0].transactions
    assert included == tuple(signed)
    assert [pooled.get(tx.raw) is tx for tx in included] == [True, True, False, False]
    assert recovered == [tx.hash for tx in signed[2:]]


@pytest.mark.asyncio
async def test_a_reopened_store_goes_on_where_it_was():
    node = Node()
    await node.decide([sign(KEYS[0], 0, value=7)])
    again = Node(node.store)
    assert (await again.application.info()) == (await node.application.info())
    await again.decide([sign(KEYS[0], 1, value=7)])
    assert again.database.state.account(ADDRESSES[0]).nonce == 2


@pytest.mark.asyncio
async def test_a_proposal_is_refused_with_the_rule_it_breaks_and_leaves_no_trace():
    proposer, follower = Node(), Node()
    request = await proposer.request()
    proposal = await proposer.application.prepare_proposal(request, [sign(KEYS[0], 0)])
    for value, reason in (
        (b"", "rlp"),
        (proposal.value[:-1], "rlp"),
        (proposal.value + b"\x00", "rlp|nothing after"),
        (bytes(5 * 1024 * 1024), "a block of"),
    ):
        verdict = await follower.application.process_proposal(value)
        assert not verdict.accepted
        assert verdict.block_hash is None
        assert re.search(reason, verdict.reason)
    await proposer.finish(1, proposal.block_hash)
    second = await proposer.decide()
    early = await follower.application.process_proposal(second.value)
    assert not early.accepted
    assert early.reason == "height: got 2, expected 1"
    with pytest.raises(InvariantViolation, match="not among those executed here"):
        await follower.application.finalize_block(second.block_hash)
    assert (await follower.application.process_proposal(proposal.value)).accepted


@pytest.mark.asyncio
async def test_a_refused_block_is_genuine_only_where_its_hash_names_its_body():
    proposer, follower = Node(), Node()
    proposal = await proposer.application.prepare_proposal(await proposer.request(), [sign(KEYS[0], 0)])
    block = decode_block(proposal.value, max_bytes=2**20)
    wrong = replace(block.header, state_root=Hash32(b"\x01" * 32))
    for refused, expected in (
        (replace(block, header=wrong), True),
        (replace(block, header=wrong, transactions=()), False),
        (replace(block, header=wrong, consensus=replace(block.consensus, app_version=99)), False),
    ):
        verdict = await follower.application.process_proposal(refused.encode())
        assert not verdict.accepted
        assert verdict.is_genuine == expected


@pytest.mark.asyncio
async def test_a_commit_without_a_finalized_block_is_a_broken_invariant():
    node = Node()
    with pytest.raises(InvariantViolation, match="before it was finalized"):
        await node.application.commit(node.commit_for(1, bytes(32)))


@pytest.mark.asyncio
async def test_building_and_checking_the_same_block_executes_it_once():
    node = Node()
    request = await node.request()
    proposal = await node.application.prepare_proposal(request, [sign(KEYS[0], 0)])
    calls = []
    backend = node.reference.chain.backend
    original = backend.execute_transaction
    backend.execute_transaction = lambda *args, **kwargs: (calls.append(1), original(*args, **kwargs))[1]
    assert (await node.application.process_proposal(proposal.value)).accepted
    await node.finish(1, proposal.block_hash)
    assert calls == []
    assert decode_block(proposal.value, max_bytes=10**6).hash == node.listener.blocks[0].hash
