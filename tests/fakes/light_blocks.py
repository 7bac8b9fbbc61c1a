"""Light blocks of made-up chains, signed with keys derived from names. Everything can be made wrong on purpose."""

from __future__ import annotations

import dataclasses

from cybermiles.crypto import ed25519
from cybermiles.crypto.hashing import keccak256
from cybermiles.sync.light_client import LightClientOptions, trust
from cybermiles.types.commit import Commit
from cybermiles.types.header import Header
from cybermiles.types.light_block import ConsensusDigest, LightBlock
from cybermiles.types.primitives import EMPTY_TRIE_ROOT, ZERO_ADDRESS, ZERO_HASH, Address, Hash32
from cybermiles.types.receipt import EMPTY_BLOOM
from cybermiles.types.validator import Validator, ValidatorSet
from cybermiles.types.vote import VoteType, vote_sign_bytes

CHAIN_ID = 18
GENESIS = Hash32(b"\x0e" * 32)
PERIOD = 1_000
_PRIVATE = {}


def options(**changes):
    return LightClientOptions(**{"chain_id": CHAIN_ID, "genesis_hash": GENESIS, "trusting_period": PERIOD} | changes)


def member(name, power=10):
    private = keccak256(str(name).encode())
    public = ed25519.public_key(private)
    _PRIVATE[public] = private
    return Validator(public, Address(bytes(20)), power)


def members(*names, power=10):
    return ValidatorSet(tuple(member(name, power) for name in names))


def sign(validator, height, block_hash, *, chain_id=CHAIN_ID):
    private = _PRIVATE[validator.consensus_key]
    return ed25519.sign(private, vote_sign_bytes(chain_id, GENESIS, VoteType.PRECOMMIT, height, 0, block_hash))


def light_block(height, time, validators, following=None, *, parent=ZERO_HASH, signs=lambda _: True, salt=b""):
    following = validators if following is None else following
    digest = ConsensusDigest(
        proposer=bytes(20),
        validators_hash=validators.hash,
        next_validators_hash=following.hash,
        last_commit_hash=ZERO_HASH,
        evidence_hash=ZERO_HASH,
        parameters_hash=ZERO_HASH,
        app_version=1,
    )
    header = Header(
        parent_hash=parent,
        coinbase=ZERO_ADDRESS,
        state_root=Hash32(keccak256(salt)),
        transactions_root=EMPTY_TRIE_ROOT,
        receipts_root=EMPTY_TRIE_ROOT,
        logs_bloom=EMPTY_BLOOM,
        height=height,
        gas_limit=0,
        gas_used=0,
        timestamp=time,
        extra_data=digest.commitment,
        prev_randao=ZERO_HASH,
    )
    signatures = tuple(sign(v, height, header.hash) if signs(v) else None for v in validators.validators)
    commit = Commit(height, 0, header.hash, signatures)
    return LightBlock(header=header, digest=digest, commit=commit, validators=validators, next_validators=following)


def resigned(block, **signed):
    """Return the block with a commit of signatures over something else."""
    wrong = {"height": block.height, "block_hash": block.header.hash} | signed
    signatures = tuple(sign(v, **wrong) for v in block.validators.validators)
    return dataclasses.replace(block, commit=dataclasses.replace(block.commit, signatures=signatures))


def chain(sets, *, step=10):
    """Return linked light blocks 1…n, where set i decides height i + 1, and the last one's follower is itself."""
    blocks = []
    for index, validators in enumerate(sets):
        parent = blocks[-1].header.hash if blocks else ZERO_HASH
        following = sets[min(index + 1, len(sets) - 1)]
        blocks.append(light_block(index + 1, (index + 1) * step, validators, following, parent=parent))
    return blocks


def trusted(block):
    return trust(block)
