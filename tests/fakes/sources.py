"""A chain in memory as what jobs run on (`rpc.jobs.JobSource`), and an executor that runs them at once."""

from __future__ import annotations

from dataclasses import replace

from cybermiles.execution.replay import replay_block
from cybermiles.rpc.ports import StateUnavailable
from cybermiles.state.trie import TrieStateReader
from tests.factories import MemoryChain
from tests.fakes.single_reads import SingleReads


class MemorySource(SingleReads):
    """Blocks of a `MemoryChain` with their parents. What is not asked for by jobs of traces is not there."""

    def __init__(self, chain=None):
        self.memory = chain or MemoryChain()
        self.blocks = {}
        self.results = {}
        self.parents = {self.memory.head.height: self.memory.parent}
        self.pruned_below = 0

    def advance(self, transactions=(), seconds=1, **more):
        """Commit a block; return (block, outcome)."""
        block, outcome = self.memory.advance(transactions, seconds, **more)
        assert len(block.transactions) == len(transactions)
        self.blocks[block.height] = block
        self.results[block.height] = outcome.transactions
        self.parents[block.height] = self.memory.parent
        return block, outcome

    @property
    def constants(self):
        return self.memory.chain

    @property
    def chain_id(self):
        return self.memory.chain.chain_id

    @property
    def params(self):
        return self.memory.document.params

    def params_at(self, height):
        return self.params

    def head_height(self):
        return self.memory.head.height

    def header(self, height):
        return self.memory.headers[height] if height < len(self.memory.headers) else None

    def height_of(self, block_hash):
        return next((header.height for header in self.memory.headers if header.hash == block_hash), None)

    def block(self, height):
        return self.blocks.get(height)

    def block_size(self, height):
        return len(self.blocks[height].encode()) if height in self.blocks else 540

    def outcomes(self, height):
        return self.results.get(height, ())

    def locate_transaction(self, tx_hash):
        for height, block in self.blocks.items():
            for index, transaction in enumerate(block.transactions):
                if transaction.hash == tx_hash:
                    return height, index
        return None

    def state(self, height):
        if height < self.pruned_below:
            raise StateUnavailable(f"missing trie node: states are kept from block {self.pruned_below} on")
        return TrieStateReader(self.memory, self.memory, self.memory.headers[height].state_root)

    def parent(self, height):
        return replace(self.parents[height], state=self.state(height))

    def replay(self, height):
        return replay_block(self.constants, self.parent(height - 1), self.blocks[height], self.results[height])


class InlineExecutor:
    """Runs jobs in the caller."""

    def __init__(self, source):
        self._source = source

    async def run(self, job):
        return job.run(self._source)
