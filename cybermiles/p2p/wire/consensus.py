"""Consensus on the wire: where a node stands, what it has, and the signed messages themselves.

    STATE   RoundStep, Have, Prefer     small news about the sender; a later one supersedes an earlier one
    DATA    proposals and block parts
    VOTES   batches of votes, certificates

RoundStep, Have and Prefer are hints: nothing is concluded from them but what is worth sending to their sender.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, TypeAlias

from cybermiles.consensus.core.round_state import Step
from cybermiles.consensus.messages import PartMessage
from cybermiles.errors import DecodingError
from cybermiles.p2p.wire.envelope import (
    as_flag,
    as_number,
    as_short_list,
    fields_of,
    kind_of,
    read_items,
    seal,
)
from cybermiles.types import rlp
from cybermiles.types.certificate import (
    MAX_CERTIFICATE_VOTES,
    PolkaCertificate,
    RoundCertificate,
    decode_polka,
    decode_round_certificate,
)
from cybermiles.types.part_set import MAX_PARTS, decode_part
from cybermiles.types.primitives import Hash32
from cybermiles.types.proposal import SignedProposal, decode_proposal
from cybermiles.types.vote import VoteType, decode_vote

if TYPE_CHECKING:
    from cybermiles.types.rlp import Item
    from cybermiles.types.vote import Vote

MAX_VALIDATORS = 3_000
"""Bits of a set of votes; as many as a commit has room for."""
MAX_BATCH_VOTES = 64
MAX_VOTE_BYTES = 160
"""Encoded; one with the largest numbers has 137."""
MAX_HAVE_VOTES = 32
MAX_HAVE_PARTS = 8

MAX_STATE_BYTES = 16 * 1024
MAX_DATA_BYTES = 66 * 1024
"""A part of 64 KiB, its proof, and what is around them."""
MAX_VOTES_BYTES = 1024 * 1024
"""A certificate of `MAX_CERTIFICATE_VOTES`."""


class StateKind(IntEnum):
    """Messages of the STATE channel."""

    ROUND_STEP = 1
    HAVE = 2
    PREFER = 3


class DataKind(IntEnum):
    """Messages of the DATA channel."""

    PROPOSAL = 1
    PART = 2


class VotesKind(IntEnum):
    """Messages of the VOTES channel."""

    VOTES = 1
    POLKA = 2
    ROUND = 3


_STATE_LIMITS: dict[int, int] = {StateKind.ROUND_STEP: 64, StateKind.HAVE: MAX_STATE_BYTES, StateKind.PREFER: 512}
_DATA_LIMITS: dict[int, int] = {DataKind.PROPOSAL: 512, DataKind.PART: MAX_DATA_BYTES}
_VOTES_LIMITS: dict[int, int] = {
    VotesKind.VOTES: MAX_BATCH_VOTES * MAX_VOTE_BYTES + 8,
    VotesKind.POLKA: MAX_VOTES_BYTES,
    VotesKind.ROUND: MAX_VOTES_BYTES,
}


@dataclass(frozen=True, slots=True)
class RoundStep:
    """Where the sender stands."""

    height: int
    round: int
    step: Step


@dataclass(frozen=True, slots=True)
class HaveVotes:
    """Whose votes of one type for one block in one round the sender has."""

    round: int
    type: VoteType
    block_hash: Hash32 | None
    """None: the votes for nil."""
    validators: int
    """Bit i stands for the i-th validator of the height's set."""


@dataclass(frozen=True, slots=True)
class HaveParts:
    """The sender has the proposal of the round, and of its block these parts."""

    round: int
    parts_id: Hash32
    """`PartsHeader.id` of what the proposal says about its parts."""
    parts: int
    """Bit i stands for part i."""


@dataclass(frozen=True, slots=True)
class Have:
    """What the sender has of one height."""

    height: int
    is_complete: bool
    """Whether it is everything; what earlier messages said is then void."""
    votes: tuple[HaveVotes, ...]
    parts: tuple[HaveParts, ...]


@dataclass(frozen=True, slots=True)
class Prefer:
    """Whose messages the sender wants from this peer only when nobody else brought them for a while."""

    height: int
    """Says which set of validators the bits are about."""
    lazy: int
    """Bit i stands for the i-th validator of the height's set."""


@dataclass(frozen=True, slots=True)
class Votes:
    """Votes of whatever rounds, 1 to `MAX_BATCH_VOTES`."""

    votes: tuple[Vote, ...]


StateMessage: TypeAlias = RoundStep | Have | Prefer
DataMessage: TypeAlias = SignedProposal | PartMessage
VotesMessage: TypeAlias = Votes | PolkaCertificate | RoundCertificate


def encode_state(message: StateMessage) -> bytes:
    """Return the bytes of a STATE message."""
    number = rlp.int_to_bytes
    match message:
        case RoundStep(height, round_, step):
            return seal(StateKind.ROUND_STEP, [number(height), number(round_), number(step)])
        case Have(height, is_complete, votes, parts):
            have_votes = [[number(h.round), number(h.type), h.block_hash or b"", number(h.validators)] for h in votes]
            have_parts = [[number(h.round), h.parts_id, number(h.parts)] for h in parts]
            return seal(StateKind.HAVE, [number(height), number(is_complete), have_votes, have_parts])
        case Prefer(height, lazy):
            return seal(StateKind.PREFER, [number(height), number(lazy)])


def decode_state(message: bytes) -> StateMessage:
    """Return the STATE message. Raises DecodingError, and ProtocolViolation for an unknown kind."""
    kind = kind_of(message, _STATE_LIMITS)
    fields = fields_of(message)
    if kind == StateKind.ROUND_STEP:
        height, round_, step = rlp.as_list(fields, length=3)
        return RoundStep(as_number(height), rlp.as_int(round_, bits=32), _step(step))
    if kind == StateKind.PREFER:
        height, lazy = rlp.as_list(fields, length=2)
        return Prefer(as_number(height), rlp.as_int(lazy, bits=MAX_VALIDATORS))
    height, is_complete, votes, parts = rlp.as_list(fields, length=4)
    return Have(
        as_number(height),
        as_flag(is_complete),
        tuple(_have_votes(item) for item in as_short_list(votes, MAX_HAVE_VOTES, "sets of votes")),
        tuple(_have_parts(item) for item in as_short_list(parts, MAX_HAVE_PARTS, "sets of parts")),
    )


def encode_data(message: DataMessage) -> bytes:
    """Return the bytes of a DATA message."""
    if isinstance(message, SignedProposal):
        return seal(DataKind.PROPOSAL, message.to_item())
    return seal(DataKind.PART, [rlp.int_to_bytes(message.height), message.parts_id, message.part.to_item()])


def decode_data(message: bytes) -> DataMessage:
    """Return the DATA message. Raises DecodingError, and ProtocolViolation for an unknown kind."""
    kind = kind_of(message, _DATA_LIMITS)
    fields = fields_of(message)
    if kind == DataKind.PROPOSAL:
        return decode_proposal(fields)
    height, parts_id, part = rlp.as_list(fields, length=3)
    decoded = decode_part(part)
    if decoded.index >= MAX_PARTS:
        raise DecodingError(f"part {decoded.index} of a block of at most {MAX_PARTS} parts")
    return PartMessage(as_number(height), Hash32(rlp.as_bytes(parts_id, size=32)), decoded)


def encode_votes(message: VotesMessage) -> bytes:
    """Return the bytes of a VOTES message."""
    if isinstance(message, PolkaCertificate):
        return seal(VotesKind.POLKA, message.to_item())
    if isinstance(message, RoundCertificate):
        return seal(VotesKind.ROUND, message.to_item())
    return seal(VotesKind.VOTES, [vote.to_item() for vote in message.votes])


def decode_votes(message: bytes) -> VotesMessage:
    """Return the VOTES message. Raises DecodingError, and ProtocolViolation for an unknown kind."""
    kind = kind_of(message, _VOTES_LIMITS)
    if kind == VotesKind.ROUND:
        start, end = rlp.read_list(message, 1)
        (round_,), start = rlp.read_ints(message, start, 1)
        votes, stop = _vote_items(message, start, MAX_CERTIFICATE_VOTES)
        _check_end(stop == end == len(message))
        return decode_round_certificate([rlp.int_to_bytes(round_), votes])
    votes, stop = _vote_items(message, 1, MAX_CERTIFICATE_VOTES if kind == VotesKind.POLKA else MAX_BATCH_VOTES)
    _check_end(stop == len(message))
    if kind == VotesKind.POLKA:
        return decode_polka(votes)
    if not votes:
        raise DecodingError("a batch of votes holds at least one")
    return Votes(tuple(decode_vote(vote) for vote in votes))


def _vote_items(message: bytes, position: int, limit: int) -> tuple[list[Item], int]:
    return read_items(message, position, limit=limit, max_item_bytes=MAX_VOTE_BYTES)


def _check_end(is_end: bool) -> None:  # noqa: FBT001  (a claim to check)
    if not is_end:
        raise DecodingError("a message has bytes after its fields")


def _step(item: Item) -> Step:
    number = rlp.as_int(item, bits=8)
    if number > Step.COMMIT:
        raise DecodingError(f"there is no step {number}")
    return Step(number)


def _have_votes(item: Item) -> HaveVotes:
    round_, type_, block_hash, validators = rlp.as_list(item, length=4)
    kind = rlp.as_int(type_, bits=8)
    if kind not in (VoteType.PREVOTE, VoteType.PRECOMMIT):
        raise DecodingError(f"there is no vote of type {kind}")
    voted = rlp.as_bytes(block_hash)
    if len(voted) not in (0, 32):
        raise DecodingError("a vote names 32 bytes of block hash or none")
    bits = rlp.as_int(validators, bits=MAX_VALIDATORS)
    return HaveVotes(rlp.as_int(round_, bits=32), VoteType(kind), Hash32(voted) if voted else None, bits)


def _have_parts(item: Item) -> HaveParts:
    round_, parts_id, parts = rlp.as_list(item, length=3)
    return HaveParts(
        rlp.as_int(round_, bits=32), Hash32(rlp.as_bytes(parts_id, size=32)), rlp.as_int(parts, bits=MAX_PARTS)
    )
