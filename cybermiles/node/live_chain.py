"""The chain a node works on: runs its engine; on a chain for development, takes blocks back and builds its parts anew.

    run ─► engine ─► stopped ─► what its threads still do ends ─► blocks undone, parts built ─► engine …
                                                                  └─ in one stretch of the event loop

Whoever holds on to a part for long follows: it is called with every new set of parts, before anything runs on them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.errors import ConfigError, CybermilesError, InvariantViolation
from cybermiles.node.chain_parts import build_parts
from cybermiles.node.rollback import undo_blocks
from cybermiles.runtime.background import Call
from cybermiles.runtime.logging import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from cybermiles.application.ports import CommitListener
    from cybermiles.execution.outcome import BlockOutcome
    from cybermiles.mempool.service import MempoolService
    from cybermiles.node.chain_parts import ChainParts
    from cybermiles.node.foundation import Foundation
    from cybermiles.types.block import Block
    from cybermiles.types.header import Header

log = get_logger("chain")


@dataclass(frozen=True, slots=True)
class ChainPoint:
    """Where a chain was."""

    height: int
    transactions: tuple[bytes, ...]
    """In the pool, each sender's in nonce order."""


@dataclass(frozen=True, slots=True)
class _Return:
    point: ChainPoint
    then: Callable[[], None]
    done: asyncio.Future[None]

    def end(self, error: CybermilesError | None) -> None:
        """Tell who waits, if still somebody does."""
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


class LiveChain:
    """Owned by the event loop; `run` is its task."""

    def __init__(self, foundation: Foundation) -> None:
        self._foundation = foundation
        self._listeners: list[CommitListener] = []
        self._followers: list[Callable[[ChainParts], None]] = []
        self._held_from: int | None = None
        self._wanted: _Return | None = None
        self._wake = asyncio.Event()
        self._parts = build_parts(foundation, self)

    @property
    def parts(self) -> ChainParts:
        """The present ones."""
        return self._parts

    @property
    def head(self) -> Header:
        """The newest block's header."""
        header = self._parts.database.blocks.header(self._parts.height)
        if header is None:
            raise InvariantViolation("the head has no header")
        return header

    @property
    def is_alone(self) -> bool:
        """Whether one validator decides the next block."""
        validators = self._parts.application.validator_set(self._parts.height + 1)
        return validators is not None and len(validators.validators) == 1

    def check_own(self) -> None:
        """Raise ConfigError unless nobody else has this chain."""
        if self._foundation.config.p2p_enabled or not self.is_alone:
            raise ConfigError(
                "blocks are taken back on a chain of one node only: others have them too (p2p.enabled, validators)"
            )

    def follow(self, follower: Callable[[ChainParts], None]) -> None:
        """Call it with the parts, now and whenever they are built anew."""
        self._followers.append(follower)
        follower(self._parts)

    def listen(self, listener: CommitListener) -> None:
        """Tell it of every block from now on."""
        self._listeners.append(listener)

    def block_committed(self, block: Block, outcome: BlockOutcome) -> None:
        """Tell whoever listens, whatever parts committed it."""
        for listener in self._listeners:
            listener.block_committed(block, outcome)

    def point(self) -> ChainPoint:
        """Return where the chain is, to come back to. Raises ConfigError where that will not be possible."""
        self.check_own()
        return ChainPoint(self._parts.height, _pooled(self._parts.mempool))

    def hold(self, first: int | None) -> None:
        """Prune no state from this height on."""
        self._held_from = first
        self._parts.database.hold_states(first)

    async def take_back(self, point: ChainPoint, then: Callable[[], None]) -> None:
        """Return when the chain is at `point` again; `then` is called before anything goes on from there.

        Raises ConfigError where it cannot be, and the chain stays as it is.
        """
        self.check_own()
        wanted = self._wanted = _Return(point, then, asyncio.get_running_loop().create_future())
        self._wake.set()
        await wanted.done

    async def run(self) -> NoReturn:
        """Decide blocks until cancelled. Raises what stops the node."""
        while True:
            await self._run_engine()
            wanted, self._wanted = self._wanted, None
            if wanted is None:
                continue
            try:
                await self._go_back(wanted)
            except CybermilesError as error:
                wanted.end(error)
                raise

    async def _run_engine(self) -> None:
        """Return, with the engine stopped, when blocks are to be taken back."""
        engine = Call("engine", self._parts.engine.run(), self._wake.set)
        try:
            while self._wanted is None and not engine.is_done:
                await self._wake.wait()
                self._wake.clear()
            if engine.is_done:
                engine.result()
        finally:
            await engine.cancel()

    async def _go_back(self, wanted: _Return) -> None:
        workers = self._foundation.workers
        for worker in (workers.blocks, workers.log):  # what a stopped engine began there goes on to its end
            await worker.run(_nothing)
        transactions, refused = wanted.point.transactions, None
        try:
            self._rebuild(wanted.point.height)
            wanted.then()
        except ConfigError as error:
            transactions, refused = _pooled(self._parts.mempool), error
            self._rebuild(self._parts.height)
        await self._parts.mempool.submit_batch(transactions)
        wanted.end(refused)

    def _rebuild(self, height: int) -> None:
        """Undo the blocks above a height and build the parts again, without a moment in which anybody sees half of it.

        Raises ConfigError where they cannot be undone, before anything is changed.
        """
        old, foundation = self._parts, self._foundation
        undone = old.height - height
        undo_blocks(old.database, foundation.directory, foundation.document, foundation.log_directory, height)
        old.signer.close()
        self._parts = build_parts(foundation, self)
        self._parts.database.hold_states(self._held_from)
        for follower in self._followers:
            follower(self._parts)
        log.info("blocks_taken_back", height=height, blocks=undone)


def _pooled(mempool: MempoolService) -> tuple[bytes, ...]:
    senders = mempool.pool.senders.values()
    return tuple(entry.transaction.raw for sender in senders for entry in (*sender.pending(), *sender.queued()))


def _nothing() -> None:
    """Stands at the end of a thread's queue."""
