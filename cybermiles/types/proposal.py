"""A proposer's signed announcement of a block for one round.

    sign bytes    tag(16) ‖ chain id(8) ‖ genesis hash(32) ‖ height(8) ‖ round(4) ‖ pol round + 1 (4) ‖ block hash(32)
                  ‖ number of parts(4) ‖ root of parts(32)

The block itself follows in parts under the signed root. The block's bytes are a function of its hash, so the
same block proposed again, by whomever, has the same parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.errors import DecodingError
from cybermiles.types import rlp
from cybermiles.types.part_set import decode_parts_header
from cybermiles.types.primitives import Hash32

if TYPE_CHECKING:
    from cybermiles.types.part_set import PartsHeader
    from cybermiles.types.rlp import Item

_TAG = b"cmt/proposal".ljust(16, b"\x00")


@dataclass(frozen=True, slots=True)
class SignedProposal:
    """Who proposes is determined by height and round."""

    height: int
    round: int
    pol_round: int
    """Round of the polka that justifies proposing this block again, -1 for a fresh one; below `round`."""
    block_hash: Hash32
    parts: PartsHeader
    signature: bytes
    """64 bytes."""

    def to_item(self) -> list[Item]:
        """Return the RLP item [height, round, pol round + 1, block hash, parts header, signature]."""
        return [
            rlp.int_to_bytes(self.height),
            rlp.int_to_bytes(self.round),
            rlp.int_to_bytes(self.pol_round + 1),
            self.block_hash,
            self.parts.to_item(),
            self.signature,
        ]

    def sign_bytes(self, chain_id: int, genesis_hash: bytes) -> bytes:
        """Return what the signature is over."""
        return proposal_sign_bytes(
            chain_id, genesis_hash, self.height, self.round, self.pol_round, self.block_hash, self.parts
        )


def decode_proposal(item: Item) -> SignedProposal:
    """Return the proposal of a decoded RLP item; its signature is not checked. Raises DecodingError."""
    height, round_, pol, block_hash, parts, signature = rlp.as_list(item, length=6)
    round_number, pol_round = rlp.as_int(round_, bits=32), rlp.as_int(pol, bits=32) - 1
    if pol_round >= round_number:
        raise DecodingError(f"a proposal of round {round_number} cannot rest on round {pol_round}")
    return SignedProposal(
        rlp.as_int(height, bits=64),
        round_number,
        pol_round,
        Hash32(rlp.as_bytes(block_hash, size=32)),
        decode_parts_header(parts),
        rlp.as_bytes(signature, size=64),
    )


def proposal_sign_bytes(  # noqa: PLR0913, PLR0917  (the signed fields, in their order)
    chain_id: int,
    genesis_hash: bytes,
    height: int,
    round_: int,
    pol_round: int,
    block_hash: Hash32,
    parts: PartsHeader,
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
            parts.total.to_bytes(4),
            parts.root,
        )
    )
