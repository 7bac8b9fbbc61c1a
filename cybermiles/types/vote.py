"""Votes and the bytes a validator signs for one.

    sign bytes    tag(16) ‖ chain id(8) ‖ genesis hash(32) ‖ type(1) ‖ height(8) ‖ round(4) ‖ nil(1) ‖ block hash(32)

Fixed widths, big-endian. The tag keeps votes apart from every other message; the chain id and the genesis hash
keep chains apart. There is no timestamp, so signing again after a crash gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from cybermiles.errors import DecodingError
from cybermiles.types import rlp
from cybermiles.types.primitives import ZERO_HASH, Hash32

if TYPE_CHECKING:
    from cybermiles.types.rlp import Item

_TAG = b"cmt/vote".ljust(16, b"\x00")


class VoteType(IntEnum):
    """The two voting steps of a round."""

    PREVOTE = 1
    PRECOMMIT = 2


@dataclass(frozen=True, slots=True)
class Vote:
    """One validator's signed vote."""

    type: VoteType
    height: int
    round: int
    block_hash: Hash32 | None
    """None votes nil."""
    validator: bytes
    """20-byte consensus address."""
    signature: bytes
    """64 bytes."""

    def to_item(self) -> list[Item]:
        """Return the RLP item [type, height, round, block hash or b"", validator, signature]."""
        return [
            rlp.int_to_bytes(self.type),
            rlp.int_to_bytes(self.height),
            rlp.int_to_bytes(self.round),
            self.block_hash or b"",
            self.validator,
            self.signature,
        ]

    def sign_bytes(self, chain_id: int, genesis_hash: bytes) -> bytes:
        """Return what the signature is over."""
        return vote_sign_bytes(chain_id, genesis_hash, self.type, self.height, self.round, self.block_hash)


def decode_vote(item: Item) -> Vote:
    """Return the vote of a decoded RLP item; its signature is not checked. Raises DecodingError."""
    type_, height, round_, block_hash, validator, signature = rlp.as_list(item, length=6)
    kind = rlp.as_int(type_, bits=8)
    if kind not in VoteType.__members__.values():
        raise DecodingError(f"there is no vote of type {kind}")
    voted = rlp.as_bytes(block_hash)
    if len(voted) not in (0, 32):
        raise DecodingError("a vote names 32 bytes of block hash or none")
    return Vote(
        VoteType(kind),
        rlp.as_int(height, bits=64),
        rlp.as_int(round_, bits=32),
        Hash32(voted) if voted else None,
        rlp.as_bytes(validator, size=20),
        rlp.as_bytes(signature, size=64),
    )


def vote_sign_bytes(
    chain_id: int,
    genesis_hash: bytes,
    type_: VoteType,
    height: int,
    round_: int,
    block_hash: Hash32 | None,
) -> bytes:
    """Return what a validator signs for a vote; the layout is in the module's docstring."""
    return b"".join(
        (
            _TAG,
            chain_id.to_bytes(8),
            genesis_hash,
            bytes((type_,)),
            height.to_bytes(8),
            round_.to_bytes(4),
            b"\x01" if block_hash is None else b"\x00",
            ZERO_HASH if block_hash is None else block_hash,
        )
    )
