"""Reads of one transaction at a time (`rpc.ports.ChainReader`), for chains that have whole blocks."""

from __future__ import annotations

from cybermiles.rpc.ports import PlacedOutcome


class SingleReads:
    """In terms of `blocks` and `results`, by height."""

    at_hand = frozenset()
    """Heights of the blocks that are decoded already."""

    def is_at_hand(self, height):
        return height in self.at_hand

    def transaction_count(self, height):
        return len(self.results.get(height, ()))

    def transaction(self, height, index):
        return self.blocks[height].transactions[index] if index < self.transaction_count(height) else None

    def outcome(self, height, index):
        if index >= self.transaction_count(height):
            return None
        outcomes = self.results[height]
        return PlacedOutcome(outcomes[index], sum(len(outcome.receipt.logs) for outcome in outcomes[:index]))

    def log_count(self, height, index):
        return 0 if index >= self.transaction_count(height) else len(self.results[height][index].receipt.logs)
