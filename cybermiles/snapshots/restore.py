"""A store made of a snapshot's records, none of which is believed.

    proven: light block H + 1 ─► block H's hash ─► headers by their hashes ─► digests ─► sets, evidence
                                              └──► state root ◄═ tries built from accounts, words, codes

The chain's records (`m:…`) are written last, in one synced batch: a store that was left half restored has no head, and
is emptied before the next attempt. Not provable, because no header shows them: the priorities in the rotations, how
the supply divides into minted and burnt (their difference is checked), and the outputs of block H's transactions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import DecodingError, ProtocolViolation
from cybermiles.snapshots.tries import TrieBuilder
from cybermiles.storage.block_store import block_records, header_records
from cybermiles.storage.chain_store import Head, Supply, chain_records, genesis_records
from cybermiles.storage.evidence_store import evidence_records
from cybermiles.storage.schema import (
    ACCOUNT,
    BLOCK,
    BLOCK_LOGS,
    CODE,
    COMMITTED_EVIDENCE,
    FLAT,
    HEADER,
    LOG_INDEX,
    OLDEST_STATE,
    OUTCOMES,
    ROTATION,
    SLOT,
    SUPPLY,
    VALIDATORS,
    at_height,
    encode_height,
    height_in,
)
from cybermiles.storage.tx_index import transaction_records
from cybermiles.storage.validator_store import AHEAD
from cybermiles.types import rlp
from cybermiles.types.block import MAX_CONSENSUS_BYTES, decode_block
from cybermiles.types.commit import verify_commit
from cybermiles.types.header import decode_header
from cybermiles.types.light_block import decode_digest
from cybermiles.types.primitives import Hash32, Wei
from cybermiles.types.rotation import decode_rotation
from cybermiles.types.validator import decode_validator_set

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cybermiles.chain.genesis import GenesisDocument
    from cybermiles.execution.genesis import GenesisBlock
    from cybermiles.state.kv import KeyValueStore
    from cybermiles.types.commit import Commit
    from cybermiles.types.header import Header
    from cybermiles.types.light_block import LightBlock
    from cybermiles.types.validator import ValidatorSet

MAX_HISTORY = 10_000_000
"""Headers, the most that the parameter of evidence's age allows."""
_NO_EVIDENCE = keccak256(rlp.encode([]))
_HEIGHT_KEY = 9
_MAX_BYTES = {HEADER: 2048, VALIDATORS: 512 * 1024, COMMITTED_EVIDENCE: MAX_CONSENSUS_BYTES}
"""Of records that become many objects when they are decoded: a set of 3 000 validators has 200 000."""


class SnapshotRefused(ProtocolViolation):
    """The records are not those of the proven block, though the chunks have the manifest's hashes."""


class Proof(NamedTuple):
    """What is known for certain before a record is read."""

    genesis: GenesisBlock
    document: GenesisDocument
    successor: LightBlock
    """The proven light block above the snapshot's height."""
    commit: Commit
    """What decided the snapshot's block; checked here."""


class _Facts(NamedTuple):
    """Of one height of the history."""

    height: int
    validators: Hash32
    evidence: Hash32


class Restore:
    """Takes records in the order of the format; `finish` makes the store a chain's."""

    def __init__(self, store: KeyValueStore, proof: Proof) -> None:
        """The store must be empty."""
        self._store = store
        self._proof = proof
        self.height = proof.successor.height - 1
        self._head: dict[bytes, bytes] = {}
        self._header: Header | None = None
        self._expected = proof.successor.header.parent_hash
        self._facts: list[_Facts] = []
        self._sets: dict[Hash32, ValidatorSet] = {}
        self._proofs: dict[int, tuple[bytes, ...]] = {}
        self._tries = TrieBuilder(store, self.height)
        self._batch: dict[bytes, bytes | None] = {}

    def take(self, records: Iterable[tuple[bytes, bytes]]) -> None:
        """Take a chunk's records. Raises SnapshotRefused."""
        takers: dict[bytes, Callable[[bytes, bytes], None]] = {
            HEADER: self._take_header,
            VALIDATORS: self._take_validators,
            COMMITTED_EVIDENCE: self._take_evidence,
            ACCOUNT: self._tries.account,
            SLOT: self._tries.word,
            CODE: self._tries.code,
        }
        try:
            for key, value in records:
                if len(value) > _MAX_BYTES.get(key[:1], len(value)):
                    raise _refused(f"a record with key {key[:40].hex()} has {len(value)} bytes")
                takers.get(key[:1], self._take_head)(key, value)
        except (DecodingError, ValueError, IndexError) as error:
            raise SnapshotRefused(f"a record does not decode: {error}") from error
        self._flush()

    def finish(self) -> Head:
        """Check that all is there and make it the store's chain; durable on return. Raises SnapshotRefused."""
        header = self._header
        if header is None:
            raise _refused("it has no header of its own height")
        balances = self._tries.finish(header.state_root)
        try:
            supply = self._check_supply(balances)
            self._write_head(header)
        except DecodingError as error:
            raise SnapshotRefused(f"a record does not decode: {error}") from error
        self._write_history()
        head = Head(header.height, header.hash, header.state_root)
        self._batch[FLAT] = encode_height(header.height) + header.state_root
        self._batch.update(header_records(self._proof.genesis.header))
        self._batch.update(genesis_records(self._proof.genesis.header.hash))
        self._batch[OLDEST_STATE] = encode_height(header.height)
        self._batch.update(chain_records(head, supply))
        self._store.write(self._batch, sync=True)
        return head

    # Records

    def _take_head(self, key: bytes, value: bytes) -> None:
        allowed = [at_height(p, self.height) for p in (BLOCK, OUTCOMES, BLOCK_LOGS, LOG_INDEX)]
        allowed += [SUPPLY, at_height(ROTATION, self.height + 1), at_height(ROTATION, self.height + AHEAD)]
        if key not in allowed:
            raise _refused(f"a record with key {key[:40].hex()} is not part of the format")
        self._head[key] = value

    def _take_header(self, key: bytes, value: bytes) -> None:
        raw, digest_item = rlp.as_list(rlp.decode(value, max_depth=2), length=2)
        header = decode_header(rlp.decode(rlp.as_bytes(raw), max_depth=1))
        digest = decode_digest(digest_item)
        if len(self._facts) >= MAX_HISTORY:
            raise _refused(f"it has more than {MAX_HISTORY} headers")
        if header.hash != self._expected or len(key) != _HEIGHT_KEY or height_in(key) != header.height:
            raise _refused(f"header {header.height} is not the parent of the one above it")
        if digest.commitment != header.extra_data:
            raise _refused(f"the consensus fields of height {header.height} are not those of its header")
        self._expected = header.parent_hash
        self._header = self._header or header
        self._facts.append(_Facts(header.height, digest.validators_hash, digest.evidence_hash))
        self._batch.update(header_records(header))

    def _take_validators(self, key: bytes, value: bytes) -> None:
        members = decode_validator_set(rlp.decode(value, max_depth=2))
        if key != VALIDATORS + members.hash:
            raise _refused("a validator set has another hash than its key says")
        self._sets[members.hash] = members

    def _take_evidence(self, key: bytes, value: bytes) -> None:
        self._proofs[height_in(key)] = tuple(rlp.as_bytes(item) for item in rlp.as_list(rlp.decode(value, max_depth=1)))

    # The end

    def _check_supply(self, balances: int) -> Supply:
        genesis, minted, burnt = rlp.as_list(rlp.decode(self._required(SUPPLY)), length=3)
        supply = Supply(Wei(rlp.as_int(genesis)), Wei(rlp.as_int(minted)), Wei(rlp.as_int(burnt)))
        accounts = self._proof.genesis.root_update.accounts.values()
        if supply.genesis != sum(account.balance for account in accounts if account) or supply.total != balances:
            raise _refused(f"the supply record says {supply.total} wei, all balances together are {balances}")
        return supply

    def _write_head(self, header: Header) -> None:
        """Check block, commit and rotations of the head; `check_store` compares the rest with the header."""
        successor, height = self._proof.successor, header.height
        raw = self._required(at_height(BLOCK, height))
        block = decode_block(raw, max_bytes=len(raw))
        commit = self._proof.commit
        if block.hash != header.hash or (commit.height, commit.block_hash) != (height, header.hash):
            raise _refused("its block or commit is another block's")
        members = self._sets.get(self._facts[0].validators)
        if members is None:
            raise _refused("the validators of its block are missing")
        verify_commit(commit, members, self._proof.document.chain_id, self._proof.document.hash)
        for settled, expected in ((height + 1, successor.validators), (height + AHEAD, successor.next_validators)):
            key = at_height(ROTATION, settled)
            if decode_rotation(rlp.decode(self._required(key))).validators != expected:
                raise _refused(f"the rotation of height {settled} is of other validators")
            self._batch[key] = self._head[key]
        self._batch.update(block_records(block, commit))
        self._batch.update(transaction_records(height, [tx.hash for tx in block.transactions]))
        self._batch[at_height(OUTCOMES, height)] = self._required(at_height(OUTCOMES, height))
        for prefix in (BLOCK_LOGS, LOG_INDEX):
            if at_height(prefix, height) in self._head:
                self._batch[at_height(prefix, height)] = self._head[at_height(prefix, height)]

    def _write_history(self) -> None:
        """Write each height's validators where they change, and committed evidence."""
        successor = self._proof.successor
        last: Hash32 | None = None
        ahead = [
            _Facts(self.height + 1, successor.validators.hash, Hash32(_NO_EVIDENCE)),
            _Facts(self.height + AHEAD, successor.next_validators.hash, Hash32(_NO_EVIDENCE)),
        ]
        for facts in [*reversed(self._facts), *ahead]:
            if facts.validators != last:
                members = self._sets.get(facts.validators)
                if members is None:
                    raise _refused(f"the validators of height {facts.height} are missing")
                self._batch[at_height(VALIDATORS, facts.height)] = rlp.encode(members.to_item())
                last = facts.validators
            if facts.evidence != _NO_EVIDENCE:
                proofs = self._proofs.get(facts.height, ())
                if keccak256(rlp.encode(list(proofs))) != facts.evidence:
                    raise _refused(f"the evidence of height {facts.height} is missing or another block's")
                self._batch.update(evidence_records(facts.height, proofs))

    def _required(self, key: bytes) -> bytes:
        value = self._head.get(key)
        if value is None:
            raise _refused(f"the record {key.hex()} is missing")
        return value

    def _flush(self) -> None:
        self._store.write(self._batch, sync=False)
        self._batch = {}


def _refused(what: str) -> SnapshotRefused:
    return SnapshotRefused(f"the snapshot is not of the proven block: {what}")
