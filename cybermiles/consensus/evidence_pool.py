"""Proofs that validators signed twice, from when they are known until a block contains them.

    report (this node saw both votes) ─► waits until its height is committed ─┐
    add (a peer sent it)              ─► verified, of a committed height ─────┴─► pending ─► a block ─► gone
                                                                                     └─► expired ─► gone

Everything that is kept was verified and is on disk, also what waits: the log of a height, from which its votes
could be counted again, goes away when the height is committed, and a node may be killed right then. A validator
that signs without end costs bounded room, and cannot crowd out the evidence against others.

One task owns the pool. It reads and writes a few small records of the store itself, because evidence is rare.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import DecodingError, InvariantViolation, ProtocolViolation, StorageError
from cybermiles.execution.evidence import is_expired
from cybermiles.runtime.logging import get_logger
from cybermiles.types.block import MAX_EVIDENCE_BYTES
from cybermiles.types.evidence import decode_evidence
from cybermiles.types.primitives import Hash32

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cybermiles.chain.params import ChainParams
    from cybermiles.execution.outcome import BlockOutcome
    from cybermiles.execution.parent import History
    from cybermiles.types.block import Block
    from cybermiles.types.evidence import DuplicateVote, Misbehaviour
    from cybermiles.types.validator import ValidatorSet

log = get_logger("evidence")

MAX_PER_VALIDATOR = 64
"""Pieces kept against one validator; the first of them costs it its seat."""
MAX_PIECES = 4_096
"""Pieces kept: 64 validators that sign without end. About 2 MiB."""


class EvidenceStorage(Protocol):
    """Where evidence survives a restart."""

    def pending(self) -> tuple[bytes, ...]:
        """Return what was saved and not removed."""
        ...

    def save_pending(self, evidence_hash: Hash32, raw: bytes) -> None:
        """Keep a piece; a killed process must not lose it."""
        ...

    def remove_pending(self, hashes: Iterable[Hash32]) -> None:
        """Forget pieces."""
        ...


@dataclass(frozen=True, slots=True)
class _Piece:
    evidence: DuplicateVote
    raw: bytes
    timestamp: int | None
    """Header time of its height in seconds, None while that is not committed."""


class EvidencePool:
    """`consensus.ports.EvidenceSource`, and what the evidence reactor asks. Also told of every committed block."""

    def __init__(
        self,
        *,
        params: ChainParams,
        history: History,
        storage: EvidenceStorage,
        verify: Callable[[DuplicateVote, ValidatorSet], Misbehaviour],
        head_height: int,
    ) -> None:
        """Load what an earlier run kept. Raises StorageError where that does not decode.

        `verify` checks both signatures against the set and raises ProtocolViolation.
        """
        self._params = params
        self._history = history
        self._storage = storage
        self._verify = verify
        self._height = head_height
        self._timestamp = self._time_of(head_height)
        self._pieces: dict[Hash32, _Piece] = {}
        self._counts: dict[bytes, int] = {}
        self._load()

    def report(self, evidence: DuplicateVote) -> None:
        """Take a pair of votes that this node verified itself; it becomes pending once its height is committed.

        Raises InvariantViolation where the pair proves nothing, because then this node verified nothing.
        """
        if not self._is_wanted(evidence):
            return
        validators = self._history.validators(evidence.height)
        if validators is None:
            raise InvariantViolation(
                f"equivocation was seen at height {evidence.height}, whose validators are not known"
            )
        try:
            self._verify(evidence, validators)
        except ProtocolViolation as error:
            raise InvariantViolation(f"equivocation was seen that does not verify: {error}") from error
        self._keep(evidence)
        log.warning("equivocation_seen", **_fields(evidence))

    def add(self, evidence: DuplicateVote) -> bool:
        """Take a peer's evidence; return whether it is news, which other peers may want.

        False also where it is of a height that is not committed here yet, or expired, or of no use: that is no
        fault, and the peer sends it again. Raises ProtocolViolation where it proves nothing, which is the peer's fault.
        """
        if evidence.height < 1:
            raise ProtocolViolation("evidence of a height that nobody voted on")
        if evidence.height > self._height or not self._is_wanted(evidence):
            return False
        validators = self._history.validators(evidence.height)
        if validators is None:
            raise InvariantViolation(f"the validators of height {evidence.height} are not known")
        self._verify(evidence, validators)
        self._keep(evidence)
        log.warning("evidence_received", **_fields(evidence))
        return True

    def pending(self, max_bytes: int) -> tuple[bytes, ...]:
        """Return encoded evidence for a block on the head, by hash: the oldest against every validator first."""
        room = min(max_bytes, MAX_EVIDENCE_BYTES)
        chosen: dict[Hash32, bytes] = {}
        for key, piece in self._in_turns():
            if len(piece.raw) > room:
                break
            room -= len(piece.raw)
            chosen[key] = piece.raw
        return tuple(chosen[key] for key in sorted(chosen))

    def evidence(self) -> tuple[DuplicateVote, ...]:
        """Return everything that a block could contain, oldest offence first, for peers that reached its height."""
        pieces = [piece.evidence for piece in self._pieces.values() if piece.timestamp is not None]
        return tuple(sorted(pieces, key=lambda evidence: (evidence.height, evidence.hash)))

    def block_committed(self, block: Block, outcome: BlockOutcome) -> None:
        """Follow the head: what waited for it is pending, what it contains or outlived is gone."""
        self._params = outcome.next_params
        self._height, self._timestamp = block.height, block.header.timestamp
        waiting = [key for key, piece in self._pieces.items() if piece.timestamp is None]
        for key in waiting:
            piece = self._pieces[key]
            if piece.evidence.height <= self._height:
                self._pieces[key] = replace(piece, timestamp=self._time_of(piece.evidence.height))
        gone = [key for raw in block.consensus.evidence if (key := _hash(raw)) in self._pieces]
        gone += [key for key, piece in self._pieces.items() if self._is_expired(piece.evidence, piece.timestamp)]
        self._forget(dict.fromkeys(gone))

    def _load(self) -> None:
        stale = []
        for raw in self._storage.pending():
            try:
                evidence = decode_evidence(raw)
            except DecodingError as error:
                raise StorageError(f"evidence that waits for a block: {error}: the store is damaged") from error
            if self._is_wanted(evidence):
                self._insert(evidence, raw)
            else:
                stale.append(evidence.hash)
        self._storage.remove_pending(stale)

    def _is_wanted(self, evidence: DuplicateVote) -> bool:
        """Tell whether evidence that verifies would be kept."""
        key = evidence.hash
        return not (
            key in self._pieces
            or len(self._pieces) >= MAX_PIECES
            or self._counts.get(evidence.validator, 0) >= MAX_PER_VALIDATOR
            or self._history.has_evidence(key)
            or (evidence.height <= self._height and self._is_expired(evidence, self._time_of(evidence.height)))
        )

    def _is_expired(self, evidence: DuplicateVote, timestamp: int | None) -> bool:
        return timestamp is not None and is_expired(
            self._params,
            age_blocks=self._height - evidence.height,
            age_seconds=self._timestamp - timestamp,
        )

    def _keep(self, evidence: DuplicateVote) -> None:
        raw = evidence.encode()
        self._storage.save_pending(evidence.hash, raw)
        self._insert(evidence, raw)

    def _insert(self, evidence: DuplicateVote, raw: bytes) -> None:
        timestamp = self._time_of(evidence.height) if evidence.height <= self._height else None
        self._pieces[evidence.hash] = _Piece(evidence, raw, timestamp)
        self._counts[evidence.validator] = self._counts.get(evidence.validator, 0) + 1

    def _forget(self, keys: Iterable[Hash32]) -> None:
        keys = tuple(keys)
        for key in keys:
            validator = self._pieces.pop(key).evidence.validator
            self._counts[validator] -= 1
            if not self._counts[validator]:
                del self._counts[validator]
        self._storage.remove_pending(keys)

    def _in_turns(self) -> Iterator[tuple[Hash32, _Piece]]:
        """Yield what is pending: the first piece against each validator, then the second of each, and so on."""
        turns: dict[bytes, int] = {}
        ordered = []
        pieces = [(key, piece) for key, piece in self._pieces.items() if piece.timestamp is not None]
        for key, piece in sorted(pieces, key=lambda item: (item[1].evidence.height, item[0])):
            turn = turns.get(piece.evidence.validator, 0)
            turns[piece.evidence.validator] = turn + 1
            ordered.append((turn, piece.evidence.height, key, piece))
        yield from ((key, piece) for _, _, key, piece in sorted(ordered, key=lambda item: item[:3]))

    def _time_of(self, height: int) -> int:
        timestamp = self._history.timestamp(height)
        if timestamp is None:
            raise InvariantViolation(f"the time of committed height {height} is not known")
        return timestamp


def _hash(raw: bytes) -> Hash32:
    return Hash32(keccak256(raw))


def _fields(evidence: DuplicateVote) -> dict[str, object]:
    """Return what a log line says of evidence."""
    first = evidence.first
    return {
        "validator": evidence.validator.hex(),
        "height": evidence.height,
        "round": first.round,
        "type": first.type.name.lower(),
        "hash": evidence.hash.hex()[:12],
    }
