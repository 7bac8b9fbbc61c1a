"""The blocks of one height as bytes: collected part by part under announced roots, and kept once accepted.

    proposal ──expect──► PartSet under its header      part ──add──► complete ──► the application's verdict
                                                                                       │
                     every proposal that announced these parts ◄──ValueChecked────────┘

Only parts that a proposer of the height signed for are collected, and only as many as a block may have; a few that
overtook their proposal wait for it. Who proposes may lie about the hash, the root and their belonging together; so a
verdict is about a hash *under* parts.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.consensus.core.inputs import ValueChecked
from cybermiles.types.part_set import PART_BYTES, PartSet

if TYPE_CHECKING:
    from cybermiles.consensus.messages import PartMessage
    from cybermiles.types.abci import Verdict
    from cybermiles.types.part_set import PartsHeader
    from cybermiles.types.primitives import Hash32
    from cybermiles.types.proposal import SignedProposal

MAX_SETS = 8
"""Part sets of one height; more than one takes a round that failed, more than two a liar."""


MAX_ORPHANS = 64
"""Parts of one height that wait for their proposal, 4 MiB; the oldest make room."""


@dataclass(frozen=True, slots=True)
class CompleteValue:
    """All parts are here; the application is to say what they are."""

    parts: PartsHeader
    value: bytes


@dataclass(slots=True)
class _Announced:
    """Parts under one header, and the blocks that proposals say they are."""

    parts: PartSet
    block_hashes: list[Hash32]
    verdict: Verdict | None = None


class Values:
    """Owned by the runner; one for each height."""

    def __init__(self, height: int, max_value_bytes: int) -> None:
        self._height = height
        self._max_parts = -(-max_value_bytes // PART_BYTES)
        self._announced: dict[PartsHeader, _Announced] = {}
        self._accepted: dict[Hash32, bytes] = {}
        self._orphans: deque[tuple[PartMessage, str]] = deque(maxlen=MAX_ORPHANS)

    def value(self, block_hash: Hash32) -> bytes | None:
        """Return an accepted block's bytes."""
        return self._accepted.get(block_hash)

    def part_set(self, parts_id: Hash32) -> PartSet | None:
        """Return a proposal's parts as far as they are here."""
        announced = self._of_id(parts_id)
        return None if announced is None else announced.parts

    def expect(self, proposal: SignedProposal, needed: tuple[Hash32, ...]) -> ValueChecked | None:
        """Collect the parts of a proposal that the engine keeps; return the verdict where it is known already.

        `needed` are blocks whose parts must stay when there is no room for all.
        """
        header, block_hash = proposal.parts, proposal.block_hash
        if header.total > self._max_parts:
            return self._checked(header, block_hash, None)
        if block_hash in self._accepted and header not in self._announced:
            return None  # the engine knows the block's parts and that these are others
        announced = self._announced.get(header)
        if announced is None:
            self._make_room(needed)
            announced = self._announced[header] = _Announced(PartSet(header), [])
        if block_hash in announced.block_hashes:
            return None
        announced.block_hashes.append(block_hash)
        return None if announced.verdict is None else self._checked(header, block_hash, announced.verdict)

    def adopt(self, parts_id: Hash32) -> list[tuple[PartMessage, str]]:
        """Return the parts that came before their proposal and who sent them, and forget them."""
        found = [orphan for orphan in self._orphans if orphan[0].parts_id == parts_id]
        if found:
            self._orphans = deque((o for o in self._orphans if o[0].parts_id != parts_id), maxlen=MAX_ORPHANS)
        return found

    def add(self, message: PartMessage, source: str) -> tuple[bool, CompleteValue | None]:
        """Take a part: whether it is news, and the value that it completes.

        Raises ProtocolViolation where the part does not prove itself.
        """
        announced = self._of_id(message.parts_id)
        if announced is None:
            self._orphans.append((message, source))
            return False, None
        parts = announced.parts
        if not parts.add(message.part):
            return False, None
        return True, CompleteValue(parts.header, parts.value()) if parts.is_complete else None

    def checked(self, complete: CompleteValue, verdict: Verdict) -> list[ValueChecked]:
        """Note the application's verdict and return what the engine is to be told: always of an accepted block."""
        block_hashes: dict[Hash32, None] = {}
        announced = self._announced.get(complete.parts)
        if announced is not None:
            announced.verdict = verdict
            block_hashes |= dict.fromkeys(announced.block_hashes)
        if verdict.accepted and verdict.block_hash is not None:
            self._accepted[verdict.block_hash] = complete.value
            block_hashes[verdict.block_hash] = None
        return [self._checked(complete.parts, block_hash, verdict) for block_hash in block_hashes]

    def keep(self, value: bytes, parts: PartSet, verdict: Verdict) -> list[ValueChecked]:
        """Keep a block that did not come in parts: built here, synced, or read from the log.

        Returns what the engine is to be told where it was not told otherwise.
        """
        announced = self._announced.setdefault(parts.header, _Announced(parts, []))
        announced.parts = parts
        if verdict.block_hash is not None and verdict.block_hash not in announced.block_hashes:
            announced.block_hashes.append(verdict.block_hash)
        return self.checked(CompleteValue(parts.header, value), verdict)

    def _of_id(self, parts_id: Hash32) -> _Announced | None:
        return next((announced for header, announced in self._announced.items() if header.id == parts_id), None)

    def _checked(self, header: PartsHeader, block_hash: Hash32, verdict: Verdict | None) -> ValueChecked:
        accepted = verdict is not None and verdict.accepted and verdict.block_hash == block_hash
        return ValueChecked(
            height=self._height,
            block_hash=block_hash,
            parts=header,
            accepted=accepted,
            timestamp=verdict.timestamp if verdict is not None and accepted else 0,
        )

    def _make_room(self, needed: tuple[Hash32, ...]) -> None:
        if len(self._announced) < MAX_SETS:
            return
        for header, announced in self._announced.items():
            if not any(block_hash in needed for block_hash in announced.block_hashes):
                del self._announced[header]
                return
