"""Whether the signer remembers what the chain shows that its key signed.

A signer state restored from an old backup looks healthy and would sign some heights twice. The newest commits tell: a
commit with this key's signature at a place the signer has not reached means that its state is not the key's last one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.consensus.privval import Step
from cybermiles.errors import ConfigError
from cybermiles.types.vote import VoteType, vote_sign_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.consensus.ports import Signer, Verifier
    from cybermiles.types.commit import Commit


async def check_signer_remembers(
    signer: Signer, verifier: Verifier, commits: Sequence[Commit], *, chain_id: int, genesis_hash: bytes
) -> None:
    """Raise ConfigError where one of the commits holds a signature of the key that the signer does not remember."""
    for commit in commits:
        if signer.last_signed >= (commit.height, commit.round, Step.PRECOMMIT):
            continue
        message = vote_sign_bytes(
            chain_id, genesis_hash, VoteType.PRECOMMIT, commit.height, commit.round, commit.block_hash
        )
        checks = [(signer.public_key, message, signature) for signature in commit.signatures if signature is not None]
        if any(await verifier.verify(checks)):
            height, round_, step = signer.last_signed
            raise ConfigError(
                f"the chain has this key's precommit of height {commit.height}, round {commit.round}, but the signer "
                f"state ends at height {height}, round {round_}, step {step}: it is older than the key, or another "
                "node runs with the key. Restore the newest state, and stop every other node with this key."
            )
