"""Signs what the engine asks for. What the signature depends on is on the disk first.

    log fsync ─► signer: state fsync ─► signature

All inputs the engine took before it asked are durable before the signer moves on, so after a crash the log leads to
the same request, and the signer answers it with the signature it stored. The own message itself needs no fsync of
its own: the signer's state holds it until the next one, before which the log is flushed again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.consensus.privval import STEP_OF, Step
from cybermiles.types.proposal import SignedProposal, proposal_sign_bytes
from cybermiles.types.vote import Vote, vote_sign_bytes

if TYPE_CHECKING:
    from cybermiles.consensus.core.effects import SignProposal, SignVote
    from cybermiles.consensus.ports import Signer
    from cybermiles.consensus.wal import WriteAheadLog
    from cybermiles.types.primitives import Hash32


class Speaker:
    """The node's voice on one chain."""

    def __init__(self, signer: Signer, chain_id: int, genesis_hash: Hash32) -> None:
        self._signer = signer
        self._chain_id = chain_id
        self._genesis_hash = genesis_hash

    async def sign_proposal(self, wal: WriteAheadLog, asked: SignProposal) -> SignedProposal:
        """Return the signed proposal. Raises SigningRefused, StorageError."""
        await wal.flush()
        subject = (asked.height, asked.round, asked.pol_round, asked.block_hash, asked.parts)
        message = proposal_sign_bytes(self._chain_id, self._genesis_hash, *subject)
        signature = await self._signer.sign(asked.height, asked.round, Step.PROPOSE, message)
        return SignedProposal(*subject, signature)

    async def sign_vote(self, wal: WriteAheadLog, asked: SignVote) -> Vote:
        """Return the signed vote. Raises SigningRefused, StorageError."""
        await wal.flush()
        subject = (asked.type, asked.height, asked.round, asked.block_hash)
        message = vote_sign_bytes(self._chain_id, self._genesis_hash, *subject)
        signature = await self._signer.sign(asked.height, asked.round, STEP_OF[asked.type], message)
        return Vote(*subject, self._signer.address, signature)
