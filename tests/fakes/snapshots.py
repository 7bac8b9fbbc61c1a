"""A chain in memory that also fills a store, and what a snapshot of it is judged by."""

from __future__ import annotations

from cybermiles.execution.genesis import genesis_block
from cybermiles.snapshots.restore import Proof
from cybermiles.storage.database import Database
from cybermiles.types.light_block import LightBlock
from tests.factories import KEYS, MemoryChain, commit_of, double_vote, sign

INITCODE = bytes.fromhex("602a60005560016001556c600160005401600055600054600055600052600c6014f3")
"""Writes slots 0 and 1 and leaves some code."""


class StoredChain:
    """Blocks built in memory and committed to a store."""

    def __init__(self, store, *, powers=(1, 1, 1, 1), params=None):
        self.memory = MemoryChain(params, powers=powers)
        self.genesis = genesis_block(self.memory.document)
        self.database = Database(store)
        self.database.commit_genesis(self.genesis)
        self.blocks = {}
        self._nonce = 0

    @property
    def document(self):
        return self.memory.document

    def advance(self, transactions=(), **more):
        block, outcome = self.memory.advance(transactions, **more)
        members = self.memory.validators(block.height)
        commit = commit_of(self.memory.chain, members, block.height, block.hash)
        self.database.commit(block, outcome, commit)
        self.blocks[block.height] = (block, commit)
        return block

    def live(self, count):
        """Make blocks with payments, a contract and one piece of evidence."""
        for number in range(count):
            transactions = [sign(KEYS[0], self._nonce, value=number + 1, gas=30_000)]
            self._nonce += 1
            if number == 1:
                transactions.append(sign(KEYS[1], 0, to=None, gas=300_000, data=INITCODE))
            evidence = []
            if number == 2:
                member = self.memory.validators(1).validators[0]
                evidence = [double_vote(self.memory.chain, member, 1).encode()]
            self.advance(transactions, evidence=evidence)

    def light_block(self, height):
        block, commit = self.blocks[height]
        return LightBlock(
            header=block.header,
            digest=block.consensus.digest,
            commit=commit,
            validators=self.memory.validators(height),
            next_validators=self.memory.validators(height + 1),
        )

    def proof(self, height):
        """Return the proof of the snapshot at a height, whose successor exists."""
        return Proof(self.genesis, self.document, self.light_block(height + 1), self.blocks[height][1])
