"""A block: an Ethereum header and transactions, and the consensus fields the header commits to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.errors import DecodingError, InvalidTransaction
from cybermiles.types import rlp
from cybermiles.types.commit import decode_commit
from cybermiles.types.header import decode_header
from cybermiles.types.light_block import digest_of
from cybermiles.types.primitives import Hash32
from cybermiles.types.transaction_codec import decode_transaction

if TYPE_CHECKING:
    from collections.abc import Callable

    from cybermiles.types.commit import Commit
    from cybermiles.types.header import Header
    from cybermiles.types.light_block import ConsensusDigest
    from cybermiles.types.rlp import Item
    from cybermiles.types.transaction import Transaction

MAX_EVIDENCE_BYTES = 16 * 1024
"""Proofs of misbehaviour in one block, without their prefixes."""
MAX_HEADER_BYTES = 1024
"""Encoded; a header of all maximal fields has 662."""
MAX_CONSENSUS_BYTES = 256 * 1024
"""Encoded consensus fields: the evidence and a commit of more than 3,000 validators."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsensusData:
    """What consensus needs in a block and Ethereum's header has no place for."""

    proposer: bytes
    """20-byte consensus address; the same whatever round decides."""
    validators_hash: Hash32
    """Of the set that decides this block."""
    next_validators_hash: Hash32
    """Of the set that decides the next one."""
    last_commit: Commit
    """Of the parent block."""
    evidence: tuple[bytes, ...]
    """Encoded proofs of misbehaviour."""
    parameters_hash: Hash32
    """Of the chain parameters in force."""
    app_version: int

    @property
    def commitment(self) -> Hash32:
        """The header's extra data: keccak256 over the fields, long ones by their hashes."""
        return self.digest.commitment

    @property
    def digest(self) -> ConsensusDigest:
        """The fields, long ones by their hashes."""
        return digest_of(self)

    def to_item(self) -> list[Item]:
        """Return the RLP item with every field in full."""
        return [
            self.proposer,
            self.validators_hash,
            self.next_validators_hash,
            self.last_commit.to_item(),
            list(self.evidence),
            self.parameters_hash,
            rlp.int_to_bytes(self.app_version),
        ]


@dataclass(frozen=True, slots=True)
class Block:
    """One block as it travels and is stored."""

    header: Header
    transactions: tuple[Transaction, ...]
    consensus: ConsensusData

    @property
    def hash(self) -> Hash32:
        """The header's hash."""
        return self.header.hash

    @property
    def height(self) -> int:
        """Position in the chain."""
        return self.header.height

    def encode(self) -> bytes:
        """Return the wire bytes: RLP of [header, [transaction bytes…], consensus fields]."""
        return rlp.encode_list(
            (
                self.header.encode(),
                rlp.encode_list([rlp.encode_bytes(tx.raw) for tx in self.transactions]),
                rlp.encode(self.consensus.to_item()),
            )
        )


def _nobody(_raw: bytes) -> None:
    """Know no transaction."""


def decode_block(raw: bytes, *, max_bytes: int, known: Callable[[bytes], Transaction | None] = _nobody) -> Block:
    """Return the block that `raw` is the canonical encoding of. Raises DecodingError.

    `known` may have a transaction of these wire bytes decoded already, with its sender.
    """
    if len(raw) > max_bytes:
        raise DecodingError(f"a block of {len(raw)} bytes, {max_bytes} are allowed")
    start, end = rlp.read_list(raw, 0)
    header, position = _bounded_item(raw, start, MAX_HEADER_BYTES, max_depth=1)
    transactions, position = _decode_transactions(raw, position, known)
    consensus, position = _bounded_item(raw, position, MAX_CONSENSUS_BYTES, max_depth=3)
    if not position == end == len(raw):
        raise DecodingError("block: three items are expected and nothing after them")
    return Block(decode_header(header), transactions, _decode_consensus(consensus))


def decode_outline(raw: bytes) -> tuple[Header, ConsensusData]:
    """Return the header and the consensus fields of a block's bytes, passing its transactions over.

    Raises DecodingError.
    """
    start, end = rlp.read_list(raw, 0)
    header, position = _bounded_item(raw, start, MAX_HEADER_BYTES, max_depth=1)
    _, position = rlp.read_list(raw, position)
    consensus, position = _bounded_item(raw, position, MAX_CONSENSUS_BYTES, max_depth=3)
    if position != end:
        raise DecodingError("block: three items are expected and nothing after them")
    return decode_header(header), _decode_consensus(consensus)


def _bounded_item(raw: bytes, position: int, max_bytes: int, *, max_depth: int) -> tuple[Item, int]:
    """Decode the list at `position`, looking at its size before its content."""
    _, end = rlp.read_list(raw, position)
    if end - position > max_bytes:
        raise DecodingError(f"block: a part of {end - position} bytes, {max_bytes} are allowed")
    return rlp.decode(raw[position:end], max_depth=max_depth), end


def _decode_transactions(
    raw: bytes, position: int, known: Callable[[bytes], Transaction | None]
) -> tuple[tuple[Transaction, ...], int]:
    """Decode one by one, so that the first bytes that are no transaction end the work."""
    position, end = rlp.read_list(raw, position)
    transactions = []
    while position < end:
        encoded, position = rlp.read_bytes(raw, position)
        try:
            transactions.append(known(encoded) or decode_transaction(encoded))
        except InvalidTransaction as error:
            raise DecodingError(f"block: transaction {len(transactions)}: {error}") from error
    if position != end:
        raise DecodingError("block: the last transaction ends after the list")
    return tuple(transactions), end


def _decode_consensus(item: Item) -> ConsensusData:
    proposer, validators, next_validators, commit, evidence, parameters, version = rlp.as_list(item, length=7)
    proofs = tuple(rlp.as_bytes(proof) for proof in rlp.as_list(evidence))
    if sum(map(len, proofs)) > MAX_EVIDENCE_BYTES:
        raise DecodingError(f"block: more than {MAX_EVIDENCE_BYTES} bytes of evidence")
    return ConsensusData(
        proposer=rlp.as_bytes(proposer, size=20),
        validators_hash=Hash32(rlp.as_bytes(validators, size=32)),
        next_validators_hash=Hash32(rlp.as_bytes(next_validators, size=32)),
        last_commit=decode_commit(commit),
        evidence=proofs,
        parameters_hash=Hash32(rlp.as_bytes(parameters, size=32)),
        app_version=rlp.as_int(version, bits=64),
    )
