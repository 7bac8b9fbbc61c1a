"""What the engine needs from the rest of the node, stated as narrow protocols."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.types.abci import (
        AppInfo,
        FinalizeResult,
        PrepareRequest,
        Proposal,
        Verdict,
    )
    from cybermiles.types.commit import Commit
    from cybermiles.types.primitives import Hash32
    from cybermiles.types.transaction import Transaction


class Application(Protocol):
    """ABCI 2.0-shaped application; every method may take long, so each is awaited.

    The caller never overlaps two calls: prepare and process, then finalize, then commit.
    """

    async def info(self) -> AppInfo:
        """Return what is durably committed."""
        ...

    async def prepare_proposal(self, request: PrepareRequest, candidates: Sequence[Transaction]) -> Proposal:
        """Build and execute a block from the candidates, in their order."""
        ...

    async def process_proposal(self, value: bytes) -> Verdict:
        """Decode, check and execute a block; its outcome is kept until the height is decided."""
        ...

    async def finalize_block(self, block_hash: Hash32) -> FinalizeResult:
        """Take the kept outcome of the decided block. Raises InvariantViolation when it is unknown."""
        ...

    async def commit(self, commit: Commit) -> None:
        """Make the finalized block durable in one synced batch, then tell the rest of the node."""
        ...


class TransactionSource(Protocol):
    """The mempool as the engine sees it."""

    def candidates(self) -> Sequence[Transaction]:
        """Return what a block built now should try, in order."""
        ...

    async def wait_for_transactions(self) -> None:
        """Return as soon as `candidates` is not empty."""
        ...
