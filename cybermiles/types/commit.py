"""The proof that a block was decided: precommits of more than two thirds of its validators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.crypto import ed25519
from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import DecodingError, ProtocolViolation
from cybermiles.types import rlp
from cybermiles.types.primitives import ZERO_HASH, Hash32
from cybermiles.types.vote import VoteType, vote_sign_bytes

if TYPE_CHECKING:
    from cybermiles.types.rlp import Item
    from cybermiles.types.validator import ValidatorSet

SIGNATURE_BYTES = 64


@dataclass(frozen=True, slots=True)
class Commit:
    """Precommits for one block in one round."""

    height: int
    round: int
    block_hash: Hash32
    signatures: tuple[bytes | None, ...]
    """In the order of the validator set; None for who did not sign."""

    @property
    def hash(self) -> Hash32:
        """keccak256 of the encoding."""
        return Hash32(keccak256(rlp.encode(self.to_item())))

    def to_item(self) -> list[Item]:
        """Return the RLP item: [height, round, block hash, [signature or b""…]]."""
        return [
            rlp.int_to_bytes(self.height),
            rlp.int_to_bytes(self.round),
            self.block_hash,
            [signature or b"" for signature in self.signatures],
        ]


EMPTY_COMMIT = Commit(0, 0, ZERO_HASH, ())
"""Stands in block 1, whose parent nobody voted on."""


def decode_commit(item: Item) -> Commit:
    """Return the commit of a decoded RLP item. Raises DecodingError."""
    height, round_, block_hash, signatures = rlp.as_list(item, length=4)
    decoded: list[bytes | None] = []
    for entry in rlp.as_list(signatures):
        signature = rlp.as_bytes(entry)
        if len(signature) not in (0, SIGNATURE_BYTES):
            raise DecodingError(f"commit: a signature has {SIGNATURE_BYTES} bytes or none")
        decoded.append(signature or None)
    return Commit(
        rlp.as_int(height, bits=64),
        rlp.as_int(round_, bits=32),
        Hash32(rlp.as_bytes(block_hash, size=32)),
        tuple(decoded),
    )


def signed_power(commit: Commit, validators: ValidatorSet) -> int:
    """Return the power of who signed; signatures are not checked. Raises ProtocolViolation for another set's commit."""
    members = validators.validators
    if len(commit.signatures) != len(members):
        raise ProtocolViolation(f"a commit of {len(commit.signatures)} signatures for {len(members)} validators")
    return sum(
        member.power for member, signature in zip(members, commit.signatures, strict=True) if signature is not None
    )


def verify_commit(commit: Commit, validators: ValidatorSet, chain_id: int, genesis_hash: bytes) -> None:
    """Check every signature and the quorum. Raises ProtocolViolation with what is wrong."""
    power = signed_power(commit, validators)
    sign_bytes = vote_sign_bytes(
        chain_id, genesis_hash, VoteType.PRECOMMIT, commit.height, commit.round, commit.block_hash
    )
    for validator, signature in zip(validators.validators, commit.signatures, strict=True):
        if signature is not None and not ed25519.verify(validator.consensus_key, sign_bytes, signature):
            raise ProtocolViolation(f"wrong precommit signature of {validator.address.hex()}")
    if not validators.has_quorum(power):
        raise ProtocolViolation(
            f"only {power} of {validators.total_power} power signed, more than two thirds are needed"
        )
