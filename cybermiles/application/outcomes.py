"""Blocks that were executed and not decided yet, kept so that nothing is executed twice.

A height may see many proposals, so both their number and their memory are bounded; the oldest go first. A block
that went is not lost: processing its bytes again executes it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cybermiles.execution.outcome import BlockOutcome
    from cybermiles.types.block import Block
    from cybermiles.types.primitives import Hash32

MAX_KEPT_BLOCKS = 8
"""Undecided blocks of one height; more than one round rarely needs."""
MAX_KEPT_BYTES = 256 * 1024 * 1024
"""Estimated memory of all of them together; the newest stays whatever it takes."""
_BYTES_PER_TRANSACTION = 2_000
_BYTES_PER_NODE = 200
_BYTES_PER_SLOT = 150


@dataclass(frozen=True, slots=True)
class Executed:
    """A block, its wire bytes, and what it did."""

    block: Block
    value: bytes
    outcome: BlockOutcome

    @property
    def weight(self) -> int:
        """Roughly how many bytes of memory it holds."""
        outcome = self.outcome
        nodes = outcome.root_update.nodes
        return (
            len(self.value)
            + sum(map(len, nodes.values()))
            + len(nodes) * _BYTES_PER_NODE
            + sum(map(len, outcome.changes.storage.values())) * _BYTES_PER_SLOT
            + len(self.block.transactions) * _BYTES_PER_TRANSACTION
        )


class KeptBlocks:
    """The executed blocks of the height that is being decided, oldest first."""

    def __init__(self, *, max_blocks: int = MAX_KEPT_BLOCKS, max_bytes: int = MAX_KEPT_BYTES) -> None:
        self._max_blocks = max_blocks
        self._max_bytes = max_bytes
        self._blocks: dict[Hash32, Executed] = {}
        self._weights: dict[Hash32, int] = {}

    def get(self, block_hash: Hash32) -> Executed | None:
        """Return the kept block with this hash."""
        return self._blocks.get(block_hash)

    def find(self, value: bytes) -> Executed | None:
        """Return the kept block of exactly these wire bytes; a header alone proves nothing about the rest."""
        return next((kept for kept in self._blocks.values() if kept.value == value), None)

    def add(self, executed: Executed) -> None:
        """Keep a block, and let the oldest go where that is too much."""
        block_hash = executed.block.hash
        self._blocks[block_hash] = executed
        self._weights[block_hash] = executed.weight
        while len(self._blocks) > self._max_blocks or (
            len(self._blocks) > 1 and sum(self._weights.values()) > self._max_bytes
        ):
            oldest = next(iter(self._blocks))
            del self._blocks[oldest], self._weights[oldest]

    def clear(self) -> None:
        """Let all go: the height is decided."""
        self._blocks.clear()
        self._weights.clear()
