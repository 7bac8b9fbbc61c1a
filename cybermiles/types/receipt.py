"""Receipts, logs and the 2048-bit bloom filter over them (Yellow Paper §4.3.1, EIP-2718)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from cybermiles.crypto.hashing import keccak256
from cybermiles.types import rlp
from cybermiles.types.primitives import Address, Hash32

if TYPE_CHECKING:
    from collections.abc import Sequence

EMPTY_BLOOM = bytes(256)


class Log(NamedTuple):
    """One event of a contract."""

    address: Address
    topics: tuple[Hash32, ...]
    """At most four 32-byte words."""
    data: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the receipts root commits to."""

    transaction_type: int
    succeeded: bool
    cumulative_gas_used: int
    """Gas used in the block up to and including this transaction."""
    logs: tuple[Log, ...]
    bloom: bytes
    """256 bytes."""

    def encode(self) -> bytes:
        """Return the consensus encoding: the type byte (none for legacy) and the RLP list."""
        body = rlp.encode_list(
            (
                b"\x01" if self.succeeded else b"\x80",
                rlp.encode_int(self.cumulative_gas_used),
                b"\xb9\x01\x00" + self.bloom,
                encode_logs(self.logs),
            )
        )
        return bytes((self.transaction_type,)) + body if self.transaction_type else body


def encode_logs(logs: Sequence[Log]) -> bytes:
    """Return the RLP list of logs."""
    if not logs:
        return b"\xc0"
    encode_bytes, encode_list = rlp.encode_bytes, rlp.encode_list
    return encode_list(
        [
            encode_list(
                (
                    encode_bytes(address),
                    encode_list([encode_bytes(topic) for topic in topics]),
                    encode_bytes(data),
                )
            )
            for address, topics, data in logs
        ]
    )


def decode_logs(item: rlp.Item) -> tuple[Log, ...]:
    """Return the logs of a decoded RLP list. Raises DecodingError."""
    logs = []
    for entry in rlp.as_list(item):
        address, topics, data = rlp.as_list(entry, length=3)
        logs.append(
            Log(
                Address(rlp.as_bytes(address, size=20)),
                tuple(Hash32(rlp.as_bytes(topic, size=32)) for topic in rlp.as_list(topics)),
                rlp.as_bytes(data),
            )
        )
    return tuple(logs)


def logs_bloom(logs: Sequence[Log]) -> bytes:
    """Return the filter over every address and topic of the logs."""
    if not logs:
        return EMPTY_BLOOM
    bits = 0
    for log in logs:
        bits |= bloom_bits(log.address)
        for topic in log.topics:
            bits |= bloom_bits(topic)
    return bits.to_bytes(256)


@lru_cache(maxsize=4096)
def bloom_bits(element: bytes) -> int:
    """Return the three bits that stand for one address or topic, as a 2048-bit integer.

    Remembered, because most logs of a block name contracts and events that the ones before named.
    """
    digest = keccak256(element)
    return (
        1 << (int.from_bytes(digest[0:2]) & 2047)
        | 1 << (int.from_bytes(digest[2:4]) & 2047)
        | 1 << (int.from_bytes(digest[4:6]) & 2047)
    )
