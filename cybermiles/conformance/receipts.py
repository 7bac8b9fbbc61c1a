"""Receipts of blocks before Byzantium, which name the state after each transaction in place of its success."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.types import rlp
from cybermiles.types.primitives import ZERO_HASH
from cybermiles.types.receipt import Receipt, encode_logs

if TYPE_CHECKING:
    from cybermiles.types.primitives import Hash32


@dataclass(frozen=True, slots=True)
class RootReceipt(Receipt):
    """A receipt with a state root (before EIP-658)."""

    root: Hash32 = ZERO_HASH

    def encode(self) -> bytes:
        """Return the consensus encoding."""
        return rlp.encode_list(
            (
                rlp.encode_bytes(self.root),
                rlp.encode_int(self.cumulative_gas_used),
                rlp.encode_bytes(self.bloom),
                encode_logs(self.logs),
            )
        )
