"""A small deterministic application for whole-node schedules: a chain of hashes that checks what a real one checks.

A block is RLP: height, parent hash, application hash of the parent, proposer, time, salt, parent's commit, evidence,
payload. It is valid where all of that fits the committed chain. `Ledger` is its database: one atomic batch a height.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from cybermiles.errors import DecodingError, InvariantViolation, ProtocolViolation
from cybermiles.types import rlp
from cybermiles.types.abci import AppInfo, FinalizeResult, Proposal, Verdict
from cybermiles.types.commit import EMPTY_COMMIT, Commit, decode_commit
from cybermiles.types.part_set import split
from cybermiles.types.primitives import ZERO_HASH, Hash32, Height, Timestamp
from cybermiles.types.vote import VoteType, vote_sign_bytes
from tests.simulation import keys

if TYPE_CHECKING:
    from cybermiles.types.abci import PrepareRequest
    from cybermiles.types.part_set import PartsHeader
    from cybermiles.types.rotation import Rotation
    from cybermiles.types.validator import ValidatorSet

GENESIS_TIME = 1_699_999_990


@dataclass(frozen=True, slots=True)
class StubBlock:
    """A decoded block."""

    height: int
    parent: bytes
    app_hash: bytes
    proposer: bytes
    timestamp: int
    salt: int
    last_commit: Commit
    evidence: tuple[bytes, ...]
    payload: bytes

    def encode(self) -> bytes:
        """Return the wire bytes."""
        return rlp.encode(
            [
                rlp.int_to_bytes(self.height),
                self.parent,
                self.app_hash,
                self.proposer,
                rlp.int_to_bytes(self.timestamp),
                rlp.int_to_bytes(self.salt),
                self.last_commit.to_item(),
                list(self.evidence),
                self.payload,
            ]
        )


def decode_block(value: bytes) -> StubBlock:
    """Return the block. Raises DecodingError."""
    height, parent, app_hash, proposer, timestamp, salt, commit, evidence, payload = rlp.as_list(
        rlp.decode(value), length=9
    )
    return StubBlock(
        rlp.as_int(height, bits=64),
        rlp.as_bytes(parent, size=32),
        rlp.as_bytes(app_hash, size=32),
        rlp.as_bytes(proposer, size=20),
        rlp.as_int(timestamp, bits=64),
        rlp.as_int(salt, bits=64),
        decode_commit(commit),
        tuple(rlp.as_bytes(raw) for raw in rlp.as_list(evidence)),
        rlp.as_bytes(payload),
    )


def transactions_of(block: StubBlock) -> list[bytes]:
    """Return the raw transactions of a block. Raises DecodingError."""
    *raws, _ = rlp.as_list(rlp.decode(block.payload)) if block.payload else [b""]
    return [rlp.as_bytes(raw) for raw in raws]


def block_hash(value: bytes) -> Hash32:
    """Return a block's id."""
    return Hash32(sha256(value).digest())


def parts_of(value: bytes) -> PartsHeader:
    """Return the header of a block's parts."""
    return split(value).header


@dataclass(slots=True)
class Ledger:
    """What survives: blocks and commits, in order. Appending is atomic."""

    blocks: list[tuple[bytes, Commit]] = field(default_factory=list)
    app_hash: bytes = ZERO_HASH
    transactions: dict[bytes, None] = field(default_factory=dict)
    """Included so far."""


class StubApplication:
    """`consensus.ports.Application` of one life of one node.

    `watch` has the methods block_accepted(height, hash), proposed(height, value), committed(height, app hash, commit),
    persist(name), and the coroutine work().
    """

    def __init__(self, ledger: Ledger, rotations, watch, salt, payload_bytes: int = 0) -> None:
        self._ledger = ledger
        self._rotations = rotations
        """Function from a height to its rotation."""
        self._watch = watch
        self._salt = salt
        self._payload_bytes = payload_bytes
        self._outcomes: dict[bytes, tuple[bytes, bytes]] = {}
        """By block hash: value and application hash after it."""
        self._finalized: bytes | None = None

    def info_now(self) -> AppInfo:
        """Return what is committed."""
        height = len(self._ledger.blocks)
        if not height:
            head, commit, timestamp = ZERO_HASH, EMPTY_COMMIT, GENESIS_TIME
        else:
            value, commit = self._ledger.blocks[-1]
            head, timestamp = block_hash(value), decode_block(value).timestamp
        return AppInfo(
            height=Height(height),
            block_hash=head,
            timestamp=Timestamp(timestamp),
            last_commit=commit,
            rotation=self._rotations(height + 1),
        )

    async def info(self) -> AppInfo:
        return self.info_now()

    async def prepare_proposal(self, request: PrepareRequest, candidates) -> Proposal:
        await self._watch.work()
        info = self.info_now()
        block = StubBlock(
            request.height,
            info.block_hash,
            self._ledger.app_hash,
            request.proposer,
            request.timestamp,
            self._salt(),
            request.last_commit,
            request.evidence,
            rlp.encode([*(transaction.raw for transaction in candidates), bytes(self._payload_bytes)]),
        )
        value = block.encode()
        verdict = self._judge(value)
        if not verdict.accepted:
            raise InvariantViolation(f"the own block is invalid: {verdict.reason}")
        self._watch.proposed(request.height, value)
        return Proposal(block_hash(value), value)

    async def process_proposal(self, value: bytes) -> Verdict:
        await self._watch.work()
        return self._judge(value)

    def _judge(self, value: bytes) -> Verdict:
        try:
            block = decode_block(value)
        except DecodingError as error:
            return Verdict(accepted=False, block_hash=None, reason=str(error))
        reason = self._fault(block)
        if reason:
            return Verdict(accepted=False, block_hash=block_hash(value), reason=reason)
        after = sha256(self._ledger.app_hash + value).digest()
        self._outcomes[block_hash(value)] = (value, after)
        self._watch.block_accepted(block.height, block_hash(value))
        return Verdict(accepted=True, block_hash=block_hash(value), timestamp=block.timestamp)

    def _fault(self, block: StubBlock) -> str:
        info = self.info_now()
        if (block.height, block.parent) != (info.height + 1, info.block_hash):
            return "not on the head"
        if block.app_hash != self._ledger.app_hash:
            return "application hash"
        if block.timestamp <= info.timestamp:
            return "time"
        if info.validators.by_address(block.proposer) is None:
            return "proposer"
        if any(raw in self._ledger.transactions for raw in transactions_of(block)):
            return "a transaction twice"
        if info.height:
            try:
                check_commit(block.last_commit, info.validators, info.height, info.block_hash)
            except ProtocolViolation as error:
                return str(error)
        return ""

    async def finalize_block(self, hash_: Hash32) -> FinalizeResult:
        if hash_ not in self._outcomes:
            raise InvariantViolation("the outcome of the decided block is unknown")
        self._finalized = hash_
        height = len(self._ledger.blocks) + 1
        validators = self._rotations(height + 1).validators
        return FinalizeResult(height=Height(height), block_hash=hash_, next_validators=validators)

    async def commit(self, commit: Commit) -> None:
        if self._finalized is None or commit.block_hash != self._finalized:
            raise InvariantViolation("commit of a block that was not finalized")
        await self._watch.work()
        value, after = self._outcomes[self._finalized]
        self._watch.persist("before the batch")
        self._ledger.blocks.append((value, commit))
        self._ledger.transactions |= dict.fromkeys(transactions_of(decode_block(value)))
        self._ledger.app_hash = after
        self._watch.committed(len(self._ledger.blocks), after, commit)
        self._watch.persist("after the batch")
        self._outcomes.clear()
        self._finalized = None

    async def load(self, height: int) -> tuple[bytes, Commit] | None:
        if not 1 <= height <= len(self._ledger.blocks):
            return None
        return self._ledger.blocks[height - 1]


def check_commit(commit: Commit, validators: ValidatorSet, height: int, hash_: bytes) -> None:
    """Check a commit with the simulation's signatures. Raises ProtocolViolation."""
    if (commit.height, commit.block_hash) != (height, hash_) or len(commit.signatures) != len(validators.validators):
        raise ProtocolViolation("another block's commit")
    message = vote_sign_bytes(
        keys.CHAIN_ID, keys.GENESIS_HASH, VoteType.PRECOMMIT, commit.height, commit.round, commit.block_hash
    )
    power = 0
    for member, signature in zip(validators.validators, commit.signatures, strict=True):
        if signature is not None:
            if not keys.verify(member.consensus_key, message, signature):
                raise ProtocolViolation("a wrong signature in the commit")
            power += member.power
    if not validators.has_quorum(power):
        raise ProtocolViolation("too little power in the commit")


def rotations_from(first: Rotation):
    """Return a function from a height to its rotation, for a constant set."""
    known = {1: first}

    def rotation(height: int) -> Rotation:
        while height not in known:
            last = max(known)
            known[last + 1] = known[last].advanced()
        return known[height]

    return rotation
