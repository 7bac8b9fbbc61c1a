"""Votes and the bytes a validator signs for one.

    sign bytes    tag(16) ‖ chain id(8) ‖ genesis hash(32) ‖ type(1) ‖ height(8) ‖ round(4) ‖ nil(1) ‖ block hash(32)

Fixed widths, big-endian. The tag keeps votes apart from every other message; the chain id and the genesis hash
keep chains apart. There is no timestamp, so signing again after a crash gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from cybermiles.types.primitives import ZERO_HASH, Hash32

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
