"""The evidence pool: what enters, when it is pending, what leaves, and what a kill -9 leaves of it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybermiles.chain.params import ChainParams
from cybermiles.consensus.evidence_pool import MAX_PER_VALIDATOR, MAX_PIECES, EvidencePool
from cybermiles.errors import InvariantViolation, ProtocolViolation, StorageError
from cybermiles.execution.evidence import select_evidence
from cybermiles.state.kv import MemoryStore
from cybermiles.storage.evidence_store import EvidenceStore
from cybermiles.storage.leveldb import LevelDB
from cybermiles.storage.schema import PENDING_EVIDENCE
from cybermiles.types.block import MAX_EVIDENCE_BYTES
from cybermiles.types.evidence import DuplicateVote, decode_evidence, verify_evidence
from tests.factories import MemoryChain, double_vote, validator

ROOT = Path(__file__).parents[3]
SHORT = ChainParams(evidence_max_age_blocks=2, evidence_max_age_seconds=5)


class Network:
    """A chain of four validators and one node's pool beside it."""

    def __init__(self, params=None, heights=3, store=None):
        self.chain = MemoryChain(params, accounts=(), powers=(4, 3, 2, 1))
        self.store = MemoryStore() if store is None else store
        self.verified = 0
        for _ in range(heights):
            self.chain.advance()
        self.restart()

    def restart(self):
        self.pool = EvidencePool(
            params=self.chain.document.params,
            history=self.chain,
            storage=EvidenceStore(self.store),
            verify=self.verify,
            head_height=self.chain.head.height,
        )

    def verify(self, evidence, validators):
        self.verified += 1
        return verify_evidence(evidence, validators, self.chain.chain.chain_id, self.chain.chain.genesis_hash)

    def against(self, number, height, **more):
        return double_vote(self.chain.chain, validator(number, 4 - number), height, **more)

    def advance(self, seconds=1, evidence=None):
        """A block by a proposer who knows what this pool knows."""
        offered = self.pool.pending(MAX_EVIDENCE_BYTES) if evidence is None else evidence
        block, outcome = self.chain.advance(seconds=seconds, evidence=offered)
        self.pool.block_committed(block, outcome)
        return block

    @property
    def pending(self):
        return [decode_evidence(raw) for raw in self.pool.pending(MAX_EVIDENCE_BYTES)]

    @property
    def stored(self):
        return {decode_evidence(raw) for raw in EvidenceStore(self.store).pending()}


def test_what_this_node_saw_is_pending_once_its_height_is_committed_and_goes_with_its_block():
    network = Network()
    evidence = network.against(1, 4)
    network.pool.report(evidence)
    network.pool.report(evidence)
    assert network.pending == [] == list(network.pool.evidence())
    assert network.stored == {evidence}
    assert network.advance().consensus.evidence == ()
    assert network.pending == [evidence] == list(network.pool.evidence())
    assert network.advance().consensus.evidence == (evidence.encode(),)
    assert network.pending == []
    assert network.stored == set()
    network.pool.report(evidence)
    assert network.pool.add(evidence) is False
    assert network.stored == set()


def test_a_peers_evidence_is_news_once():
    network = Network()
    evidence = network.against(2, 2)
    assert network.pool.add(evidence) is True
    assert network.pool.add(evidence) is False
    assert network.verified == 1
    assert network.pending == [evidence]


def test_evidence_of_a_height_that_is_not_committed_here_comes_again_later():
    network = Network()
    early = network.against(2, 4)
    assert network.pool.add(early) is False
    assert network.verified == 0
    network.advance()
    assert network.pool.add(early) is True


FORGED = {
    "signature": lambda e: replace(e, second=replace(e.second, signature=bytes(64))),
    "stranger": lambda e: DuplicateVote(replace(e.first, validator=bytes(20)), replace(e.second, validator=bytes(20))),
    "another height": lambda e: DuplicateVote(replace(e.first, height=1), replace(e.second, height=1)),
    "another block": lambda e: replace(e, second=replace(e.second, block_hash=b"\xff" * 32)),
    "height 0": lambda e: DuplicateVote(replace(e.first, height=0), replace(e.second, height=0)),
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_evidence_is_the_peers_fault_and_leaves_no_trace(name):
    network = Network()
    with pytest.raises(ProtocolViolation):
        network.pool.add(FORGED[name](network.against(0, 2)))
    assert network.pending == []
    assert network.stored == set()


@pytest.mark.parametrize("name", ["signature", "stranger", "another block"])
def test_a_report_that_proves_nothing_is_a_bug_of_this_node(name):
    network = Network()
    with pytest.raises(InvariantViolation, match="does not verify"):
        network.pool.report(FORGED[name](network.against(0, 4)))
    with pytest.raises(InvariantViolation, match="validators are not known"):
        network.pool.report(network.against(0, 6))
    assert network.stored == set()


def test_evidence_goes_when_both_clocks_say_so_and_is_not_taken_any_more():
    network = Network(SHORT, heights=1)
    evidence = network.against(0, 1)
    assert network.pool.add(evidence)
    for seconds, kept in ((4, True), (2, True), (1, False)):  # 1 block and 4 s, 2 blocks and 6 s, 3 blocks and 7 s old
        network.advance(seconds=seconds, evidence=())
        assert network.pending == ([evidence] if kept else [])
    assert network.stored == set()
    assert network.pool.add(evidence) is False
    network.pool.report(evidence)
    assert network.stored == set()


def test_a_restart_finds_what_was_known_and_drops_what_is_done():
    network = Network(SHORT, heights=2)
    waiting, pending, committed, expired = (
        network.against(0, 3), network.against(1, 2), network.against(2, 2), network.against(3, 1),
    )  # fmt: skip
    network.pool.report(waiting)
    for evidence in (pending, committed, expired):
        assert network.pool.add(evidence)
    before = network.stored
    assert before == {waiting, pending, committed, expired}
    network.restart()
    assert set(network.pending) == {pending, committed, expired}
    network.chain.advance(seconds=2, evidence=[committed.encode()])  # the process dies before the pool is told
    network.restart()
    assert set(network.pending) == {waiting, pending, expired}
    assert network.stored == {waiting, pending, expired}
    network.chain.advance(seconds=4)
    network.restart()
    assert network.stored == {waiting, pending}
    assert set(network.pending) == {waiting, pending}


def test_damaged_records_stop_the_node():
    network = Network()
    network.store.write({PENDING_EVIDENCE + bytes(32): b"\xc0"}, sync=False)
    with pytest.raises(StorageError, match="damaged"):
        network.restart()


def test_a_validator_without_restraint_has_bounded_room_and_hides_nobody_else():
    network = Network()
    flood = [network.against(0, 1 + n % 3, round_=n) for n in range(MAX_PER_VALIDATOR + 40)]
    accepted = [network.pool.add(evidence) for evidence in flood]
    assert accepted == [True] * MAX_PER_VALIDATOR + [False] * 40
    assert network.verified == MAX_PER_VALIDATOR
    quiet = network.against(3, 3)
    assert network.pool.add(quiet) is True
    assert quiet in network.pending
    assert quiet in [decode_evidence(raw) for raw in network.pool.pending(2 * len(quiet.encode()))]
    block = network.advance()
    assert quiet.encode() in block.consensus.evidence
    while network.pending:
        network.advance()
    committed = sum(evidence.hash in network.chain.evidence for evidence in flood)
    assert committed == MAX_PER_VALIDATOR
    assert network.stored == set()
    assert network.pool.add(flood[-1]) is True


def test_a_full_pool_takes_no_more(monkeypatch):
    monkeypatch.setattr("cybermiles.consensus.evidence_pool.MAX_PIECES", 3)
    network = Network()
    assert [network.pool.add(network.against(number, 1)) for number in range(4)] == [True, True, True, False]
    assert MAX_PIECES * 512 == 2 * 1024 * 1024


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3), st.integers(0, 9)), max_size=20, unique=True),
    st.integers(0, MAX_EVIDENCE_BYTES + 1000),
)
def test_what_is_pending_is_what_a_block_takes_as_it_is(offences, max_bytes):
    network = NETWORK
    network.store = MemoryStore()
    network.restart()
    for number, height, round_ in offences:
        assert network.pool.add(network.against(number, height, round_=round_))
    pending = network.pool.pending(max_bytes)
    assert sum(map(len, pending)) <= min(max_bytes, MAX_EVIDENCE_BYTES)
    assert select_evidence(network.chain.chain, network.chain.parent, pending) == pending
    if max_bytes >= 300 * len(offences):
        assert len(pending) == len(offences)
    heights = [evidence.height for evidence in network.pool.evidence()]
    assert heights == sorted(heights)
    assert len(heights) == len(offences)


NETWORK = Network()

KILLED = """
import os, signal, sys
from pathlib import Path
from cybermiles.storage.leveldb import LevelDB
from tests.unit.consensus.test_evidence_pool import Network
with LevelDB(Path(sys.argv[1])) as store:
    network = Network(store=store)
    network.pool.report(network.against(0, 4))
    assert network.pool.add(network.against(1, 2))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_loses_nothing(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "db")], cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, check=False
    )
    assert run.returncode == -9
    with LevelDB(tmp_path / "db") as store:
        network = Network(store=store)
        assert network.pending == [network.against(1, 2)]
        network.advance(evidence=())
        assert set(network.pending) == {network.against(0, 4), network.against(1, 2)}


def test_the_verifier_of_production_fits():
    network = Network()
    chain = network.chain.chain
    verify = partial(verify_evidence, chain_id=chain.chain_id, genesis_hash=chain.genesis_hash)
    pool = EvidencePool(
        params=ChainParams(), history=network.chain, storage=EvidenceStore(MemoryStore()), verify=verify, head_height=3
    )
    assert pool.add(network.against(1, 1)) is True
