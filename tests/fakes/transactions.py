"""A pool for gossip tests: a transaction is any bytes; some are malformed, some are not wanted now."""

from __future__ import annotations

from dataclasses import dataclass

from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import AlreadyKnown, MalformedTransaction, NonceTooLow
from cybermiles.types.primitives import Hash32

MALFORMED, UNWANTED = b"malformed", b"unwanted"


@dataclass(frozen=True)
class FakeTransaction:
    raw: bytes
    type: int = 2

    @property
    def hash(self):
        return Hash32(keccak256(self.raw))

    @property
    def size(self):
        return len(self.raw)


class FakePool:
    """The port `TransactionPool`."""

    def __init__(self):
        self.content = {}
        self.batches = []
        self.admitted_at = {}
        self.clock = None
        self._listeners = []

    def listen(self, listener):
        self._listeners.append(listener)

    def lookup(self, tx_hash):
        return self.content.get(tx_hash)

    def pending(self):
        return iter(tuple(self.content.values()))

    async def submit_batch(self, raws):
        self.batches.append(tuple(raws))
        return [self.submit(raw) for raw in raws]

    def submit(self, raw):
        transaction = FakeTransaction(raw)
        if raw.startswith(MALFORMED):
            return MalformedTransaction("not a transaction")
        if raw.startswith(UNWANTED):
            return NonceTooLow("nonce too low")
        if transaction.hash in self.content:
            return AlreadyKnown("already known")
        self.content[transaction.hash] = transaction
        if self.clock is not None:
            self.admitted_at[transaction.hash] = self.clock.ms
        for listener in self._listeners:
            listener((transaction,))
        return transaction.hash
