"""Proof that the side that declares a consensus key holds it.

    signed bytes    tag(16) ‖ chain id(8) ‖ genesis hash(32) ‖ owner(20)

The tag keeps a proof apart from votes and every other message of the key; chain and owner keep it from being used by
anybody else or elsewhere. The key itself is what the signature is checked with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.crypto import ed25519
from cybermiles.staking.errors import BadConsensusKey, BadKeyProof, ConsensusKeyUsed
from cybermiles.staking.layout import key_slot, key_use
from cybermiles.staking.records import KEY_WORD, KeyUse
from cybermiles.types.validator import consensus_address

if TYPE_CHECKING:
    from cybermiles.state.slots import ReadStorage, Storage
    from cybermiles.types.primitives import Address

_TAG = b"cmt/key-proof".ljust(16, b"\x00")
KEY_BYTES = 32


def key_proof_bytes(chain_id: int, genesis_hash: bytes, owner: Address) -> bytes:
    """Return what a consensus key signs so that `owner` may declare it."""
    return b"".join((_TAG, chain_id.to_bytes(8), genesis_hash, owner))


def check_key(storage: ReadStorage, key: bytes, proof: bytes, message: bytes) -> None:
    """Check a key that nobody declared yet and its proof. Raises BadConsensusKey, ConsensusKeyUsed, BadKeyProof."""
    if len(key) != KEY_BYTES:
        raise BadConsensusKey
    if key_use(storage, consensus_address(key)).candidate:
        raise ConsensusKeyUsed
    if not ed25519.verify(key, message, proof):
        raise BadKeyProof


def enter_key(storage: Storage, key: bytes, candidate: int, height: int) -> None:
    """Book a key for a candidate, for ever."""
    slot = key_slot(consensus_address(key))
    storage.store(slot, int.from_bytes(key))
    KEY_WORD.store(storage, slot + 1, KeyUse(candidate, height, 0))


def retire_key(storage: Storage, key: bytes, height: int) -> None:
    """Book that a key was replaced at a height."""
    slot = key_slot(consensus_address(key)) + 1
    KEY_WORD.store(storage, slot, KEY_WORD.load(storage, slot)._replace(until=height))


def key_at(storage: ReadStorage, address: bytes) -> bytes:
    """Return the key with a consensus address that some candidate declared."""
    return storage.load(key_slot(address)).to_bytes(32)
