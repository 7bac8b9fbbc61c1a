"""The records of a snapshot, read from a view of the store that does not change.

    head ─► history, newest first ─► validator sets ─► evidence ─► accounts ─► words ─► codes

The history reaches as far down as evidence may: a node that restores it judges evidence like everybody else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.errors import ConfigError, StorageError
from cybermiles.execution.evidence import is_expired
from cybermiles.storage.block_store import BlockStore
from cybermiles.storage.chain_store import ChainStore
from cybermiles.storage.schema import (
    ACCOUNT,
    BLOCK,
    BLOCK_LOGS,
    CODE,
    COMMITTED_EVIDENCE,
    HEADER,
    LOG_INDEX,
    OUTCOMES,
    ROTATION,
    SLOT,
    SUPPLY,
    VALIDATORS,
    at_height,
    decode_account,
)
from cybermiles.storage.validator_store import AHEAD, ValidatorStore
from cybermiles.types import rlp
from cybermiles.types.block import decode_outline
from cybermiles.types.primitives import EMPTY_CODE_HASH, Hash32

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cybermiles.chain.params import ChainParams
    from cybermiles.state.kv import KeyValueReader
    from cybermiles.storage.chain_store import Head

MIN_HISTORY = 256
"""Headers at least, where the chain has as many."""
Record = tuple[bytes, bytes]


class Export:
    """One snapshot's content. Every method reads the view it was given and nothing else."""

    def __init__(self, view: KeyValueReader, params: ChainParams) -> None:
        """`params` are those in force at the view's head. Raises ConfigError where nothing can be exported."""
        self._view = view
        self._params = params
        self._blocks = BlockStore(view)
        self._validators = ValidatorStore(view)
        head = ChainStore(view).head
        if head is None or head.height == 0:
            raise ConfigError("there is no block yet, so there is no snapshot to make")
        self.head: Head = head
        self._evidence: list[Record] = []
        self._sets: dict[Hash32, bytes] = {}
        self._codes: dict[Hash32, None] = {}

    def records(self) -> Iterator[Record]:
        """Yield everything. Raises ConfigError where this node lacks blocks that the history needs."""
        yield from self._head_records()
        yield from self._history()
        for set_hash, encoded in self._sets.items():
            yield VALIDATORS + set_hash, encoded
        yield from self._evidence
        yield from self._accounts()
        yield from self._view.iterate(SLOT, SLOT + b"\xff" * 53)
        for code_hash in self._codes:
            yield CODE + code_hash, self._needed(CODE + code_hash)

    def _head_records(self) -> Iterator[Record]:
        height = self.head.height
        for prefix in (BLOCK, OUTCOMES):
            yield at_height(prefix, height), self._needed(at_height(prefix, height))
        for prefix in (BLOCK_LOGS, LOG_INDEX):
            value = self._view.get(at_height(prefix, height))
            if value is not None:
                yield at_height(prefix, height), value
        for settled in (height + 1, height + AHEAD):
            yield at_height(ROTATION, settled), self._needed(at_height(ROTATION, settled))
        yield SUPPLY, self._needed(SUPPLY)

    def _history(self) -> Iterator[Record]:
        height, newest = self.head.height, 0
        for settled in (height + AHEAD, height + 1):
            self._note_validators(settled)
        while height > 0:
            raw = self._blocks.raw_block(height)
            if raw is None:
                raise ConfigError(
                    f"this node has no block {height}, which a snapshot of block {self.head.height} needs for the time "
                    "that evidence may be that old; another node has to make it"
                )
            header, consensus = decode_outline(raw)
            newest = newest or header.timestamp
            if consensus.validators_hash not in self._sets:
                self._note_validators(height)
            if consensus.evidence:
                proofs = rlp.encode(list(consensus.evidence))
                self._evidence.append((at_height(COMMITTED_EVIDENCE, height), proofs))
            yield at_height(HEADER, height), rlp.encode([header.encode(), consensus.digest.to_item()])
            age = self.head.height - height
            if age >= MIN_HISTORY and is_expired(self._params, age_blocks=age, age_seconds=newest - header.timestamp):
                return
            height -= 1

    def _note_validators(self, height: int) -> None:
        members = self._validators.validators(height)
        if members is None:
            raise StorageError(f"the validators of height {height} are not stored: the store is damaged")
        self._sets[members.hash] = rlp.encode(members.to_item())

    def _accounts(self) -> Iterator[Record]:
        for key, value in self._view.iterate(ACCOUNT, ACCOUNT + b"\xff" * 21):
            code_hash = decode_account(value).code_hash
            if code_hash != EMPTY_CODE_HASH:
                self._codes[code_hash] = None
            yield key, value

    def _needed(self, key: bytes) -> bytes:
        value = self._view.get(key)
        if value is None:
            raise StorageError(f"the store has no record {key.hex()} for a snapshot: it is damaged")
        return value
