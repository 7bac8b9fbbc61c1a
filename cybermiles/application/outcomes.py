"""Blocks that were executed and not decided yet, kept so that nothing is executed twice.

A height may see many proposals, so both their number and their memory are bounded; the oldest go first. Where memory
is short only the outcome goes and the block's bytes stay, from which it can be executed again. Whoever decides a block
that is not among the last ones at all processes its bytes again first.
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
"""Estimated memory of all outcomes together; the newest stays whatever it takes."""
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
        self._values: dict[Hash32, bytes] = {}
        self._executed: dict[Hash32, Executed] = {}
        self._weights: dict[Hash32, int] = {}

    def get(self, block_hash: Hash32) -> Executed | None:
        """Return the kept block with this hash, None also where its outcome had to go."""
        return self._executed.get(block_hash)

    def value(self, block_hash: Hash32) -> bytes | None:
        """Return the wire bytes of a block that was found valid, with or without its outcome."""
        return self._values.get(block_hash)

    def find(self, value: bytes) -> Executed | None:
        """Return the kept block of exactly these wire bytes; a header alone proves nothing about the rest."""
        return next((kept for kept in self._executed.values() if kept.value == value), None)

    def add(self, executed: Executed) -> None:
        """Keep a block, and let the oldest go where that is too much."""
        block_hash = executed.block.hash
        self._values[block_hash] = executed.value
        self._executed[block_hash] = executed
        self._weights[block_hash] = executed.weight
        while len(self._executed) > 1 and sum(self._weights.values()) > self._max_bytes:
            self._forget_outcome(next(key for key in self._executed if key != block_hash))
        while len(self._values) > self._max_blocks:
            oldest = next(iter(self._values))
            del self._values[oldest]
            self._forget_outcome(oldest)

    def clear(self) -> None:
        """Let all go: the height is decided."""
        self._values.clear()
        self._executed.clear()
        self._weights.clear()

    def _forget_outcome(self, block_hash: Hash32) -> None:
        self._executed.pop(block_hash, None)
        self._weights.pop(block_hash, None)
