"""What a block asks of the beacon chain (EIP-7685): deposits, from logs; exits and consolidations, from contracts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.conformance.errors import ForeignChainError
from cybermiles.crypto.hashing import sha256
from cybermiles.types.primitives import Address, Hash32

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cybermiles.types.receipt import Log

WITHDRAWAL_REQUESTS = Address(bytes.fromhex("00000961ef480eb55e80d19ad83579a64c007002"))
CONSOLIDATION_REQUESTS = Address(bytes.fromhex("0000bbddc7ce488642fb579f8b00f3a590007251"))
_DEPOSIT_TOPIC = bytes.fromhex("649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5")
_DEPOSIT_BYTES = 576
_DEPOSIT_FIELDS = ((160, 48), (256, 32), (320, 8), (384, 96), (512, 8))
"""(offset of the length word, bytes) of key, credentials, amount, signature and index in a deposit's log."""


def collect_requests(
    logs: Sequence[Log], deposit_contract: Address, system_call: Callable[[Address, bytes], bytes]
) -> list[bytes]:
    """Return the requests of a block by type, each with its type byte in front; none that is empty."""
    deposits = b"".join(
        _deposit(log.data)
        for log in logs
        if log.address == deposit_contract and log.topics and log.topics[0] == _DEPOSIT_TOPIC
    )
    contents = (deposits, system_call(WITHDRAWAL_REQUESTS, b""), system_call(CONSOLIDATION_REQUESTS, b""))
    return [bytes((kind,)) + content for kind, content in enumerate(contents) if content]


def hash_of_requests(requests: Sequence[bytes]) -> Hash32:
    """Return the header's commitment."""
    return Hash32(sha256(b"".join(sha256(request) for request in requests)))


def _deposit(data: bytes) -> bytes:
    if len(data) != _DEPOSIT_BYTES:
        raise ForeignChainError(f"a deposit's log has {len(data)} bytes, not {_DEPOSIT_BYTES}")
    return b"".join(data[at + 32 : at + 32 + size] for at, size in _DEPOSIT_FIELDS)
