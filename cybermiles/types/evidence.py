"""Proof that a validator signed two different votes of one type in one height and round.

The two votes stand in canonical order, by what they name, so that one offence has one encoding and one hash.
Who the validator was and what power it had is looked up in the set of that height, not believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.crypto import ed25519
from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import DecodingError, ProtocolViolation
from cybermiles.types import rlp
from cybermiles.types.primitives import Hash32
from cybermiles.types.vote import decode_vote

if TYPE_CHECKING:
    from cybermiles.types.rlp import Item
    from cybermiles.types.validator import Validator, ValidatorSet
    from cybermiles.types.vote import Vote

MAX_EVIDENCE_ITEM_BYTES = 512
"""Encoded; two votes with the largest numbers have 360."""


@dataclass(frozen=True, slots=True)
class DuplicateVote:
    """Two votes that exclude each other."""

    first: Vote
    """The one that names the smaller block hash; nil is the smallest."""
    second: Vote

    @property
    def height(self) -> int:
        """Of both votes."""
        return self.first.height

    @property
    def validator(self) -> bytes:
        """20-byte consensus address of who signed both."""
        return self.first.validator

    @property
    def hash(self) -> Hash32:
        """keccak256 of the encoding."""
        return Hash32(keccak256(self.encode()))

    def encode(self) -> bytes:
        """Return the RLP of [vote, vote]."""
        items: list[Item] = [self.first.to_item(), self.second.to_item()]
        return rlp.encode(items)


@dataclass(frozen=True, slots=True, kw_only=True)
class Misbehaviour:
    """Verified evidence as the application learns of it, in the block that includes it."""

    validator: Validator
    """With the power it had at the height of the offence."""
    height: int
    """Of the offence."""
    total_power: int
    """Of the set at that height."""
    evidence_hash: Hash32
    """Of what proves it."""


def duplicate_vote(one: Vote, other: Vote) -> DuplicateVote:
    """Return the evidence of two conflicting votes. Raises ProtocolViolation where they do not conflict."""
    if (one.type, one.height, one.round, one.validator) != (other.type, other.height, other.round, other.validator):
        raise ProtocolViolation("two votes conflict only in one height, round and step of one validator")
    if one.block_hash == other.block_hash:
        raise ProtocolViolation("two votes for the same block do not conflict")
    first, second = sorted((one, other), key=lambda vote: vote.block_hash or b"")
    return DuplicateVote(first, second)


def decode_evidence(raw: bytes) -> DuplicateVote:
    """Return the evidence that `raw` is the canonical encoding of; signatures are not checked. Raises DecodingError."""
    if len(raw) > MAX_EVIDENCE_ITEM_BYTES:
        raise DecodingError(f"evidence of {len(raw)} bytes, {MAX_EVIDENCE_ITEM_BYTES} are allowed")
    first, second = rlp.as_list(rlp.decode(raw), length=2)
    votes = decode_vote(first), decode_vote(second)
    try:
        evidence = duplicate_vote(*votes)
    except ProtocolViolation as error:
        raise DecodingError(f"evidence: {error}") from error
    if evidence.first is not votes[0]:
        raise DecodingError("evidence: the vote for the smaller hash stands first")
    return evidence


def verify_evidence(
    evidence: DuplicateVote, validators: ValidatorSet, chain_id: int, genesis_hash: bytes
) -> Misbehaviour:
    """Check both signatures against the set of that height. Raises ProtocolViolation with what is wrong."""
    validator = validators.by_address(evidence.validator)
    if validator is None:
        raise ProtocolViolation(f"{evidence.validator.hex()} was no validator at height {evidence.height}")
    for vote in (evidence.first, evidence.second):
        if not ed25519.verify(validator.consensus_key, vote.sign_bytes(chain_id, genesis_hash), vote.signature):
            raise ProtocolViolation(f"evidence with a wrong signature of {evidence.validator.hex()}")
    return Misbehaviour(
        validator=validator,
        height=evidence.height,
        total_power=validators.total_power,
        evidence_hash=evidence.hash,
    )
