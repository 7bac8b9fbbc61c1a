"""What proves a block without its transactions: header, consensus fields by their hashes, commit, validators.

header.extra_data ═ commitment of the digest ─► hashes of the sets ═ the sets ─► who may sign the commit
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import DecodingError
from cybermiles.types import rlp
from cybermiles.types.commit import decode_commit
from cybermiles.types.header import decode_header
from cybermiles.types.primitives import Hash32
from cybermiles.types.validator import decode_validator_set

if TYPE_CHECKING:
    from cybermiles.types.block import ConsensusData
    from cybermiles.types.commit import Commit
    from cybermiles.types.header import Header
    from cybermiles.types.rlp import Item
    from cybermiles.types.validator import ValidatorSet


MAX_LIGHT_BLOCK_BYTES = 1024 * 1024
"""Encoded; two sets of 3,000 validators and a commit of one have 610 000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsensusDigest:
    """A block's consensus fields, long ones by their hashes: exactly what the header's extra data is the hash of."""

    proposer: bytes
    validators_hash: Hash32
    next_validators_hash: Hash32
    last_commit_hash: Hash32
    evidence_hash: Hash32
    parameters_hash: Hash32
    app_version: int

    @property
    def commitment(self) -> Hash32:
        """The extra data of the header that these fields belong to."""
        return Hash32(keccak256(rlp.encode(self.to_item())))

    def to_item(self) -> list[Item]:
        """Return the RLP item of the seven fields."""
        return [
            self.proposer,
            self.validators_hash,
            self.next_validators_hash,
            self.last_commit_hash,
            self.evidence_hash,
            self.parameters_hash,
            rlp.int_to_bytes(self.app_version),
        ]


def digest_of(consensus: ConsensusData) -> ConsensusDigest:
    """Return the digest of a block's consensus fields."""
    return ConsensusDigest(
        proposer=consensus.proposer,
        validators_hash=consensus.validators_hash,
        next_validators_hash=consensus.next_validators_hash,
        last_commit_hash=consensus.last_commit.hash,
        evidence_hash=Hash32(keccak256(rlp.encode(list(consensus.evidence)))),
        parameters_hash=consensus.parameters_hash,
        app_version=consensus.app_version,
    )


def decode_digest(item: Item) -> ConsensusDigest:
    """Return the digest of a decoded RLP item. Raises DecodingError."""
    proposer, validators, following, commit, evidence, parameters, version = rlp.as_list(item, length=7)
    return ConsensusDigest(
        proposer=rlp.as_bytes(proposer, size=20),
        validators_hash=Hash32(rlp.as_bytes(validators, size=32)),
        next_validators_hash=Hash32(rlp.as_bytes(following, size=32)),
        last_commit_hash=Hash32(rlp.as_bytes(commit, size=32)),
        evidence_hash=Hash32(rlp.as_bytes(evidence, size=32)),
        parameters_hash=Hash32(rlp.as_bytes(parameters, size=32)),
        app_version=rlp.as_int(version, bits=64),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LightBlock:
    """One height's proof. Nothing in it is checked by decoding but its form."""

    header: Header
    digest: ConsensusDigest
    commit: Commit
    validators: ValidatorSet
    """Who decides this height."""
    next_validators: ValidatorSet
    """Who decides the next one."""

    @property
    def height(self) -> int:
        """Position in the chain."""
        return self.header.height

    def to_item(self) -> list[Item]:
        """Return the RLP item [header bytes, digest, commit, validators, next validators]."""
        return [
            self.header.encode(),
            self.digest.to_item(),
            self.commit.to_item(),
            self.validators.to_item(),
            self.next_validators.to_item(),
        ]


def decode_light_block(raw: bytes) -> LightBlock:
    """Return the light block that `raw` is the RLP of. Raises DecodingError."""
    if len(raw) > MAX_LIGHT_BLOCK_BYTES:
        raise DecodingError(f"a light block of {len(raw)} bytes, {MAX_LIGHT_BLOCK_BYTES} are allowed")
    header, digest, commit, validators, following = rlp.as_list(rlp.decode(raw, max_depth=4), length=5)
    return LightBlock(
        header=decode_header(rlp.decode(rlp.as_bytes(header), max_depth=1)),
        digest=decode_digest(digest),
        commit=decode_commit(commit),
        validators=decode_validator_set(validators),
        next_validators=decode_validator_set(following),
    )
