"""What the log holds: every input of one height, in the order the engine took them, as bytes and back.

    record type   payload (RLP)                                                  input
    START         [height, is voting]                                            StartHeight
    PROPOSAL      [received ms, proposal]                                        ProposalReceived
    BUILT         [round, block hash, header time, parts header, value]          ValueBuilt
    VALUE         [block hash, header time, parts header, is accepted, value]    ValueChecked
    VOTE          vote                                                           VoteReceived
    POLKA, ROUND  certificate                                                    CertificateReceived
    COMMIT        commit                                                         CommitReceived
    TIMEOUT       [kind, round]                                                  TimeoutElapsed

Block bytes are kept with the verdict, so that a locked block can be proposed again after a crash. The rotation is
not logged: it follows from the committed parent.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, TypeAlias

from cybermiles.consensus.core.inputs import (
    CertificateReceived,
    CommitReceived,
    ProposalReceived,
    StartHeight,
    TimeoutElapsed,
    TimeoutKind,
    ValueBuilt,
    ValueChecked,
    VoteReceived,
)
from cybermiles.errors import DecodingError
from cybermiles.types import rlp
from cybermiles.types.certificate import PolkaCertificate, decode_polka, decode_round_certificate
from cybermiles.types.commit import decode_commit
from cybermiles.types.part_set import decode_parts_header
from cybermiles.types.primitives import Hash32
from cybermiles.types.proposal import decode_proposal
from cybermiles.types.vote import decode_vote

if TYPE_CHECKING:
    from collections.abc import Callable

    from cybermiles.consensus.core.inputs import Input
    from cybermiles.types.rlp import Item
    from cybermiles.types.rotation import Rotation


class RecordType(IntEnum):
    """What a record holds."""

    START = 1
    PROPOSAL = 2
    BUILT = 3
    VALUE = 4
    VOTE = 5
    POLKA = 6
    ROUND = 7
    COMMIT = 8
    TIMEOUT = 9


@dataclass(frozen=True, slots=True)
class Record:
    """One entry of the log as bytes."""

    type: RecordType
    payload: bytes


@dataclass(frozen=True, slots=True)
class Start:
    """The height was begun; becomes a StartHeight with the rotation that the parent determines."""

    height: int
    is_voting: bool

    def to_input(self, rotation: Rotation) -> StartHeight:
        """Return the engine's input."""
        return StartHeight(height=self.height, rotation=rotation, is_voting=self.is_voting)


LoggedInput: TypeAlias = (
    Start
    | ProposalReceived
    | ValueBuilt
    | ValueChecked
    | VoteReceived
    | CertificateReceived
    | CommitReceived
    | TimeoutElapsed
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the log, decoded."""

    input: LoggedInput
    value: bytes = b""
    """Wire bytes of the block that a ValueBuilt or an accepting ValueChecked is about, else empty."""


def entry_of(input_: Input, value: bytes = b"") -> Entry:
    """Return what is logged before the engine takes an input."""
    if isinstance(input_, StartHeight):
        return Entry(Start(input_.height, input_.is_voting))
    return Entry(input_, value)


def encode_entry(entry: Entry) -> Record:
    """Return the entry's record."""
    type_, item = _to_item(entry)
    return Record(type_, rlp.encode(item))


def decode_entry(record: Record, height: int) -> Entry:
    """Return the entry of a record in the log of `height`. Raises DecodingError."""
    return _DECODERS[record.type](rlp.decode(record.payload), height)


def _to_item(entry: Entry) -> tuple[RecordType, Item]:
    match entry.input:
        case Start(height, is_voting):
            return RecordType.START, [rlp.int_to_bytes(height), rlp.int_to_bytes(int(is_voting))]
        case ProposalReceived(proposal, received_ms):
            return RecordType.PROPOSAL, [rlp.int_to_bytes(received_ms), proposal.to_item()]
        case ValueBuilt() | ValueChecked():
            return _value_item(entry.input, entry.value)
        case VoteReceived(vote):
            return RecordType.VOTE, vote.to_item()
        case CertificateReceived(certificate):
            is_polka = isinstance(certificate, PolkaCertificate)
            return RecordType.POLKA if is_polka else RecordType.ROUND, certificate.to_item()
        case CommitReceived(commit):
            return RecordType.COMMIT, commit.to_item()
        case TimeoutElapsed(kind, _, round_):
            return RecordType.TIMEOUT, [rlp.int_to_bytes(kind), rlp.int_to_bytes(round_)]


def _value_item(input_: ValueBuilt | ValueChecked, value: bytes) -> tuple[RecordType, Item]:
    timestamp = rlp.int_to_bytes(input_.timestamp)
    if isinstance(input_, ValueBuilt):
        round_ = rlp.int_to_bytes(input_.round)
        return RecordType.BUILT, [round_, input_.block_hash, timestamp, input_.parts.to_item(), value]
    accepted = rlp.int_to_bytes(int(input_.accepted))
    return RecordType.VALUE, [input_.block_hash, timestamp, input_.parts.to_item(), accepted, value]


def _start(item: Item, height: int) -> Entry:
    logged, is_voting = rlp.as_list(item, length=2)
    if rlp.as_int(logged, bits=64) != height:
        raise DecodingError(f"the log of height {height} begins with height {rlp.as_int(logged, bits=64)}")
    return Entry(Start(height, bool(rlp.as_int(is_voting, bits=8))))


def _proposal(item: Item, _height: int) -> Entry:
    received_ms, proposal = rlp.as_list(item, length=2)
    return Entry(ProposalReceived(decode_proposal(proposal), rlp.as_int(received_ms, bits=64)))


def _built(item: Item, height: int) -> Entry:
    round_, block_hash, timestamp, parts, value = rlp.as_list(item, length=5)
    built = ValueBuilt(
        height=height,
        round=rlp.as_int(round_, bits=32),
        block_hash=Hash32(rlp.as_bytes(block_hash, size=32)),
        parts=decode_parts_header(parts),
        timestamp=rlp.as_int(timestamp, bits=64),
    )
    return Entry(built, rlp.as_bytes(value))


def _value(item: Item, height: int) -> Entry:
    block_hash, timestamp, parts, accepted, value = rlp.as_list(item, length=5)
    checked = ValueChecked(
        height=height,
        block_hash=Hash32(rlp.as_bytes(block_hash, size=32)),
        parts=decode_parts_header(parts),
        accepted=bool(rlp.as_int(accepted, bits=8)),
        timestamp=rlp.as_int(timestamp, bits=64),
    )
    return Entry(checked, rlp.as_bytes(value))


def _vote(item: Item, _height: int) -> Entry:
    return Entry(VoteReceived(decode_vote(item)))


def _polka(item: Item, _height: int) -> Entry:
    return Entry(CertificateReceived(decode_polka(item)))


def _round(item: Item, _height: int) -> Entry:
    return Entry(CertificateReceived(decode_round_certificate(item)))


def _commit(item: Item, _height: int) -> Entry:
    return Entry(CommitReceived(decode_commit(item)))


def _timeout(item: Item, height: int) -> Entry:
    kind, round_ = rlp.as_list(item, length=2)
    number = rlp.as_int(kind, bits=8)
    if number not in TimeoutKind.__members__.values():
        raise DecodingError(f"there is no timer of kind {number}")
    return Entry(TimeoutElapsed(TimeoutKind(number), height, rlp.as_int(round_, bits=32)))


_DECODERS: dict[RecordType, Callable[[Item, int], Entry]] = {
    RecordType.START: _start,
    RecordType.PROPOSAL: _proposal,
    RecordType.BUILT: _built,
    RecordType.VALUE: _value,
    RecordType.VOTE: _vote,
    RecordType.POLKA: _polka,
    RecordType.ROUND: _round,
    RecordType.COMMIT: _commit,
    RecordType.TIMEOUT: _timeout,
}
