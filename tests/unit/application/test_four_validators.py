"""Four validators' applications: one chain, whoever proposes and whoever is absent; sets that change; evidence."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from cybermiles.application.application import ChainApplication
from cybermiles.application.outcomes import KeptBlocks
from cybermiles.chain.predeploys import STAKING
from cybermiles.consensus.evidence_pool import EvidencePool
from cybermiles.errors import InvariantViolation
from cybermiles.execution.genesis import genesis_block
from cybermiles.execution.validation import prev_randao
from cybermiles.state.kv import MemoryStore
from cybermiles.storage.database import Database
from cybermiles.storage.recovery import check_store, verify_state
from cybermiles.storage.rollback import rollback_head
from cybermiles.types.abci import PrepareRequest
from cybermiles.types.block import MAX_EVIDENCE_BYTES, Block, decode_block
from cybermiles.types.commit import Commit, verify_commit
from cybermiles.types.evidence import verify_evidence
from cybermiles.types.rotation import first_rotation
from cybermiles.types.validator import ValidatorSet
from tests.factories import ADDRESSES, KEYS, PAID, MemoryChain, commit_of, double_vote, sign, validator

ROOT = Path(__file__).parents[3]
POWERS = (4, 3, 3, 2)


class Inline:
    async def run(self, function, *args, **kwargs):
        return function(*args, **kwargs)


class Expulsion:
    """Whoever misbehaved is out; account 7's nonce says how much power validator 3 has."""

    def __init__(self, founders):
        self.current = {0: founders, 1: founders, 2: founders}

    def elect(self, world, height, misbehaviour):
        before = self.current[height + 1]
        guilty = {m.validator.address for m in misbehaviour}
        bonus = world.nonce(ADDRESSES[7])
        members = tuple(
            dataclasses.replace(m, power=2 + bonus) if m.operator == ADDRESSES[3] else m
            for m in before.validators
            if m.address not in guilty
        )
        elected = ValidatorSet(members)
        self.current[height + 2] = elected
        return None if elected == before else elected


class Node:
    """One validator's application, database and evidence pool."""

    def __init__(self, *, election=False, store=None, accounts=ADDRESSES[:20]):
        self.start = MemoryChain(accounts=accounts, powers=POWERS)
        self.store = MemoryStore() if store is None else store
        founders = self.start.document.validator_set
        self.chain = dataclasses.replace(self.start.chain, election=Expulsion(founders) if election else None)
        self.open()

    def open(self):
        self.database = Database(self.store)
        self.database.commit_genesis(genesis_block(self.start.document))
        self.application = ChainApplication(
            chain=self.chain,
            database=self.database,
            params=self.start.document.params,
            worker=Inline(),
            listeners=[self],
        )
        self.pool = EvidencePool(
            params=self.start.document.params,
            history=self.application.parent.history,
            storage=self.database.evidence,
            verify=lambda e, members: verify_evidence(e, members, self.chain.chain_id, self.chain.genesis_hash),
            head_height=self.database.chain.head.height,
        )

    def block_committed(self, block, outcome):
        self.outcome = outcome
        self.pool.block_committed(block, outcome)

    async def propose(self, transactions=(), *, round_=0, seconds=1, absent=()):
        info = await self.application.info()
        rotation = info.rotation if not round_ else info.rotation.advanced(round_)
        commit = info.last_commit
        if absent:
            commit = Commit(
                commit.height,
                commit.round,
                commit.block_hash,
                tuple(None if i in absent else s for i, s in enumerate(commit.signatures)),
            )
        request = PrepareRequest(
            height=info.height + 1,
            timestamp=info.timestamp + seconds,
            proposer=rotation.proposer.address,
            last_commit=commit,
            evidence=self.pool.pending(MAX_EVIDENCE_BYTES),
        )
        return await self.application.prepare_proposal(request, transactions)

    async def decide(self, block_hash, *, round_=0, absent=()):
        info = await self.application.info()
        height = info.height + 1
        await self.application.finalize_block(block_hash)
        await self.application.commit(
            commit_of(self.chain, info.validators, height, block_hash, round_=round_, absent=absent)
        )


async def decide_everywhere(nodes, proposal, **more):
    for node in nodes:
        verdict = await node.application.process_proposal(proposal.value)
        assert (verdict.accepted, verdict.block_hash, verdict.reason) == (True, proposal.block_hash, "")
        await node.decide(proposal.block_hash, **more)


async def infos(nodes):
    return [await node.application.info() for node in nodes]


@pytest.mark.asyncio
async def test_four_nodes_agree_whoever_proposes_in_whatever_round_and_whoever_is_absent():
    nodes = [Node() for _ in range(4)]
    proposers = []
    for height in range(1, 9):
        round_ = height % 3
        rotation = (await nodes[0].application.info()).rotation
        proposer = (rotation.advanced(round_) if round_ else rotation).proposer
        proposers.append(proposer.operator)
        transactions = [sign(KEYS[n], height - 1, value=n, price=PAID) for n in range(8, 14)]
        builder = nodes[ADDRESSES.index(proposer.operator)]
        absent = (height % 4,) if height % 2 else ()
        proposal = await builder.propose(transactions, round_=round_, absent=(3,) if height in (3, 5, 7) else ())
        await decide_everywhere(nodes, proposal, round_=round_, absent=absent)
        assert [info == (await nodes[0].application.info()) for info in await infos(nodes)] == [True] * 4
        block = nodes[0].database.blocks.block(height)
        assert block.header.coinbase == proposer.operator
        assert block.header.prev_randao == prev_randao(block.consensus.last_commit)
    assert len(set(proposers)) == 4
    for node in nodes:
        assert verify_state(node.database).balance == node.database.chain.supply.total
        assert check_store(Database(node.store)).block_hash == nodes[0].database.chain.head.block_hash
    pool = nodes[0].database.state.account(STAKING).balance
    assert pool == nodes[0].database.chain.supply.minted + 48 * 21_000 * PAID - sum_of_free(nodes[0])


def sum_of_free(node):
    """What the transactions would have paid that rode in the free lane."""
    free = 0
    for height in range(1, node.database.chain.head.height + 1):
        free += sum(not o.outcome.effective_gas_price for o in node.database.receipts.outcomes(height))
    return free * 21_000 * PAID


@pytest.mark.asyncio
async def test_a_set_elected_in_a_block_decides_two_heights_later_and_no_sooner():
    nodes = [Node(election=True) for _ in range(2)]
    sets = []
    for height in range(1, 7):
        transactions = [sign(KEYS[7], 0, price=PAID)] if height == 2 else []
        proposal = await nodes[height % 2].propose(transactions)
        await decide_everywhere(nodes, proposal)
        sets.append((await nodes[0].application.info()).validators)
    powers = [sum(m.power for m in members.validators) for members in sets]
    assert powers == [12, 12, 13, 13, 13, 13]  # after blocks 1 to 6: the sets of heights 2 to 7
    blocks = [nodes[0].database.blocks.block(height) for height in range(1, 7)]
    old, new = sets[0].hash, sets[-1].hash
    assert [b.consensus.validators_hash for b in blocks] == [old, old, old, new, new, new]
    assert [b.consensus.next_validators_hash for b in blocks] == [old, old, new, new, new, new]
    application = nodes[1].application
    assert [application.validator_set(h) for h in (0, 1, 3, 4, 8, 9)] == [
        None,
        sets[0],
        sets[0],
        sets[-1],
        sets[-1],
        None,
    ]
    for node in nodes:
        before = await node.application.info()
        node.open()
        assert await node.application.info() == before
        for height in range(1, 7):
            value, commit = await node.application.load(height)
            assert value == blocks[height - 1].encode()
            verify_commit(commit, node.application.validator_set(height), node.chain.chain_id, node.chain.genesis_hash)


@pytest.mark.asyncio
async def test_a_double_vote_that_one_node_saw_is_in_a_block_once_and_its_author_loses_the_seat():
    nodes = [Node(election=True) for _ in range(3)]
    evidence = double_vote(nodes[0].chain, validator(2, POWERS[2]), 1)
    nodes[0].pool.report(evidence)
    contents = []
    for height in range(1, 7):
        if height == 4:
            nodes[0].open()
        proposal = await nodes[0].propose()
        await decide_everywhere(nodes, proposal)
        contents.append(decode_block(proposal.value, max_bytes=10**6).consensus.evidence)
        for node in nodes:
            assert [m.height for m in node.outcome.misbehaviour] == ([1] if height == 2 else [])
    assert contents == [(), (evidence.encode(),), (), (), (), ()]
    sets = [nodes[1].application.validator_set(height) for height in range(1, 9)]
    assert [len(members.validators) for members in sets] == [4, 4, 4, 3, 3, 3, 3, 3]
    assert nodes[0].pool.evidence() == ()
    # A later offence of who has no seat any more proves nothing; one of when it had the seat does.
    assert nodes[1].pool.add(double_vote(nodes[0].chain, validator(2, POWERS[2]), 3)) is True


@pytest.mark.asyncio
async def test_a_node_that_was_away_follows_by_block_and_commit_alone():
    nodes = [Node(election=True) for _ in range(2)]
    server, late = nodes[0], Node(election=True)
    assert (server.application.base, server.application.height, await server.application.load(1)) == (1, 0, None)
    for height in range(1, 6):
        await decide_everywhere(
            nodes, await nodes[height % 2].propose([sign(KEYS[7], height - 1, price=PAID)]), round_=height
        )
    assert await server.application.load(0) is await server.application.load(6) is None
    assert server.application.height == 5
    for height in range(server.application.base, 6):
        value, commit = await server.application.load(height)
        verdict = await late.application.process_proposal(value)
        assert verdict.accepted
        assert commit.round == height
        await late.application.finalize_block(verdict.block_hash)
        await late.application.commit(commit)
    assert await late.application.info() == await server.application.info()


@pytest.mark.asyncio
async def test_a_block_that_is_taken_back_and_executed_again_is_the_same():
    node, other = Node(election=True), Node(election=True)
    evidence = double_vote(node.chain, validator(1, POWERS[1]), 1)
    node.pool.report(evidence)
    for height in range(1, 5):
        await decide_everywhere([node, other], await node.propose([sign(KEYS[7], height - 1, price=PAID)]))
    before = await node.application.info()
    records = dict(node.store.iterate(b"", b"\xff"))
    value, commit = await node.application.load(4)
    assert rollback_head(node.database).height == 3
    node.open()
    assert (await node.application.info()).height == 3
    assert (await node.application.process_proposal(value)).accepted
    await node.application.finalize_block(commit.block_hash)
    await node.application.commit(commit)
    assert await node.application.info() == before
    assert dict(node.store.iterate(b"", b"\xff")) == records


@pytest.mark.asyncio
async def test_a_block_of_another_height_is_refused_before_any_signature_is_recovered(monkeypatch):
    node, other = Node(), Node()
    first = await node.propose([sign(KEYS[5], 0)])
    await decide_everywhere([node], first)
    second = await node.propose([sign(KEYS[5], 1)])
    monkeypatch.setattr("cybermiles.application.application.recover_senders", None)
    for application, value, reason in (
        (node.application, first.value, "height: got 1, expected 2"),
        (other.application, second.value, "height: got 2, expected 1"),
    ):
        verdict = await application.process_proposal(value)
        assert (verdict.accepted, verdict.reason) == (False, reason)


@pytest.mark.asyncio
async def test_a_known_header_over_another_body_is_refused():
    node = Node()
    proposal = await node.propose([sign(KEYS[5], 0)])
    block = decode_block(proposal.value, max_bytes=10**6)
    for body in (Block(block.header, (), block.consensus), Block(block.header, (sign(KEYS[6], 0),), block.consensus)):
        verdict = await node.application.process_proposal(body.encode())
        assert (verdict.accepted, verdict.block_hash) == (False, proposal.block_hash)
    assert (await node.application.process_proposal(proposal.value)).accepted


@pytest.mark.asyncio
async def test_an_outcome_that_had_to_go_is_made_again_from_the_bytes():
    node = Node()
    proposals = [await node.propose(seconds=seconds) for seconds in range(1, 13)]
    with pytest.raises(InvariantViolation, match="not among those executed"):
        await node.application.finalize_block(proposals[0].block_hash)
    assert (await node.application.process_proposal(proposals[0].value)).accepted
    await node.decide(proposals[0].block_hash)
    assert node.database.chain.head.block_hash == proposals[0].block_hash


@pytest.mark.asyncio
async def test_a_decided_block_whose_outcome_did_not_fit_into_memory_is_executed_again():
    node, other = Node(), Node()
    node.application._kept = KeptBlocks(max_bytes=1)
    proposals = [await node.propose([sign(KEYS[5], 0)], seconds=seconds) for seconds in (1, 2, 3)]
    assert node.application._kept.get(proposals[0].block_hash) is None
    await node.decide(proposals[0].block_hash)
    await decide_everywhere([other], proposals[0])
    assert await node.application.info() == await other.application.info()


@pytest.mark.asyncio
async def test_a_block_that_nobody_would_accept_is_not_built():
    node = Node()
    await decide_everywhere([node], await node.propose())
    info = await node.application.info()
    good = PrepareRequest(
        height=2, timestamp=info.timestamp + 1, proposer=info.rotation.proposer.address, last_commit=info.last_commit
    )
    signatures = good.last_commit.signatures
    for changes, reason in (
        ({"height": 1}, "is asked for after block 1"),
        ({"height": 3}, "is asked for after block 1"),
        ({"timestamp": info.timestamp}, "is asked for after block 1"),
        ({"proposer": bytes(20)}, "not a validator"),
        (
            {"last_commit": dataclasses.replace(good.last_commit, signatures=(None, None, *signatures[2:]))},
            "two thirds",
        ),
        ({"last_commit": dataclasses.replace(good.last_commit, round=1)}, "wrong precommit signature"),
    ):
        with pytest.raises(InvariantViolation, match=reason):
            await node.application.prepare_proposal(dataclasses.replace(good, **changes), ())
    assert (await node.application.prepare_proposal(good, ())).value


def test_the_first_height_has_the_founders_in_their_rotation():
    node = Node()
    assert node.application.parent.validators == node.start.document.validator_set
    assert node.database.validators.rotation(1) == first_rotation(node.start.document.validator_set)


HASH_SEED_SCRIPT = """
import asyncio
from tests.unit.application.test_four_validators import *

async def main():
    nodes = [Node(election=True) for _ in range(2)]
    for offender in (1, 2):
        for round_ in range(3):
            nodes[0].pool.report(double_vote(nodes[0].chain, validator(offender, POWERS[offender]), offender, round_=round_))
    for height in range(1, 6):
        transactions = [sign(KEYS[n], height - 1, value=n, price=PAID * (n % 2)) for n in range(5, 18)]
        proposal = await nodes[0].propose(transactions, round_=height)
        await decide_everywhere(nodes, proposal, round_=height, absent=(2,) if height == 3 else ())
    assert len(nodes[0].application.validator_set(7).validators) == 2
    for node in nodes:
        print((await node.application.info()).block_hash.hex())
        print(sha256(b"".join(key + value for key, value in node.store.iterate(b"", b"\\xff"))).hex())

from cybermiles.crypto.hashing import sha256
asyncio.run(main())
"""


@pytest.mark.slow
def test_blocks_rotations_and_the_whole_store_are_the_same_under_every_hash_seed():
    outputs = []
    for seed, zone in (("1", "UTC"), ("2", "Asia/Shanghai"), ("3", "America/New_York")):
        run = subprocess.run(
            [sys.executable, "-c", HASH_SEED_SCRIPT],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ".", "PATH": "", "TZ": zone},
            capture_output=True,
            text=True,
            check=True,
        )
        outputs.append([line for line in run.stdout.splitlines() if len(line) == 64])
    assert outputs[0] == outputs[1] == outputs[2]
    assert len(outputs[0]) == 4
    assert outputs[0][:2] == outputs[0][2:]
