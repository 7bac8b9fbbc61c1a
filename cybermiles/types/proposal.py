"""A proposer's signed announcement of a block for one round.

sign bytes    tag(16) ‖ chain id(8) ‖ genesis hash(32) ‖ height(8) ‖ round(4) ‖ pol round + 1 (4) ‖ block hash(32)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cybermiles.types.primitives import Hash32

_TAG = b"cmt/proposal".ljust(16, b"\x00")


@dataclass(frozen=True, slots=True)
class SignedProposal:
    """Who proposes is determined by height and round."""

    height: int
    round: int
    pol_round: int
    """Round of the polka that justifies proposing this block again, -1 for a fresh one."""
    block_hash: Hash32
    signature: bytes


def proposal_sign_bytes(
    chain_id: int,
    genesis_hash: bytes,
    height: int,
    round_: int,
    pol_round: int,
    block_hash: Hash32,
) -> bytes:
    """Return what a proposer signs; the layout is in the module's docstring."""
    return b"".join(
        (
            _TAG,
            chain_id.to_bytes(8),
            genesis_hash,
            height.to_bytes(8),
            round_.to_bytes(4),
            (pol_round + 1).to_bytes(4),
            block_hash,
        )
    )
